#pragma once
// A way to learn task after task: which learners a run has and what each begins from, the rows and
// targets of each, what is found after its training, and who answers. Nothing outside this folder
// asks which method runs. Methods are equals; one more is a file in src/method and a line in
// method.cpp.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/example.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/data/training_row.hpp"
#include "baton/expert/indicators.hpp"
#include "baton/method/router.hpp"

namespace baton::method {

/// One learner of a run, in positions of the task order. It trains when the tasks up to its own
/// position have come, and can answer from then on.
struct LearnerPlan {
  std::size_t position = 0;
  std::vector<std::size_t> own_tasks;           // whose train rows it learns from, all of them
  std::vector<std::size_t> buffers = {};        // whose rehearsal buffers it is given
  bool takes_general = false;                   // rows of the config's general tasks as well
  std::optional<std::size_t> begins_from = {};  // the learner whose factors it carries on
  std::vector<std::size_t> beside = {};         // learners whose adapters act with its own, frozen
};

/// The plan of the learner at a position, which is there.
const LearnerPlan& plan_at(std::span<const LearnerPlan> learners, std::size_t position);

/// Train rows of one task.
struct TaskRows {
  std::string task;
  std::span<const data::Example> rows;
  /// Of each row, what the frozen base makes of its prompt; for a buffer that is chosen by it.
  std::span<const std::vector<double>> features = {};
};

/// All rows that one learner is given, as text.
struct LearnerRows {
  std::string name = {};               // the task at its position; names the seeds of what is drawn
  expert::Indicators indicators = {};  // of a method that uses them
  std::vector<TaskRows> own = {};
  std::span<const data::RehearsalBuffer> buffers = {};
  std::span<const data::Example> general = {};
};

/// What a learner trains on.
struct TrainingSet {
  std::vector<data::SelectedRow> training;
  std::vector<data::SelectedRow> held_out;  // never among `training`
  /// The threshold comes from two more trainings, each on one fold, asked about the other.
  bool cross_fits = false;
  std::vector<std::string> warnings;
};

class Method {
 public:
  virtual ~Method() = default;
  virtual const std::string& name() const = 0;

  // ---- the learners

  /// In the order of learning; positions ascend.
  virtual std::vector<LearnerPlan> learners(std::size_t num_tasks) const = 0;
  /// The keys of the section `method`, and of the general rows, that change its learners.
  virtual std::vector<std::string> own_keys() const { return {}; }
  /// Whether a key changes a learner; the others stay out of its identity.
  bool reads(const std::string& key) const;

  // ---- their rows

  /// What is kept of a task for later learners; nothing from a method that keeps none.
  virtual std::optional<data::RehearsalBuffer> make_buffer(const TaskRows& task) const;
  /// Whether that of a task of so many rows is chosen by the rows' features. Without them (as in a
  /// plan, which has no model) make_buffer draws as many rows at random.
  virtual bool chooses_by_features(std::size_t num_task_rows) const;
  /// Of the rows of the config's general tasks those that this run uses.
  virtual std::vector<data::Example> choose_general(std::span<const data::Example> rows) const;
  /// Pure, every draw with a named seed. The parts do not depend on one another: given only some of
  /// a learner's lists, it draws from them what it would draw beside the others.
  virtual TrainingSet training_set(const LearnerRows& rows) const = 0;
  /// Sets opening and answer of rows by their roles, as a training set has them. Unchanged: the
  /// answer alone.
  virtual void give_targets(std::span<data::SelectedRow> rows,
                            const expert::Indicators& indicators) const;
  /// Whether targets open with an indicator, so that an expert can be asked for its margin.
  virtual bool uses_indicators() const { return false; }
  /// Sets the opening's weight of each row of a training set. Unchanged: 1.
  virtual void weigh_openings(std::span<data::TrainingRow> rows) const;
  /// Weight of an opening beside the other target tokens, which weigh 1.
  virtual double opening_loss_weight() const { return 1; }

  /// Whether each update has own and foreign rows in the same share.
  virtual bool balances_batches() const { return false; }

  /// Weight in the loss of sum |A_beside A^T| over the linears and the adapters beside.
  virtual double orthogonality() const { return 0; }

  // ---- after training

  /// Whether an expert's threshold is looked for among held-out rows; else `threshold` is it, which
  /// may depend on the rows trained on.
  virtual bool finds_threshold() const { return false; }
  virtual double threshold(std::span<const data::TrainingRow> /*rows*/) const { return 0; }
  /// Settings that do not do what they say, in words for the user.
  virtual std::vector<std::string> doubts() const { return {}; }
  /// What training a learner of so many own rows costs, in trainings without what follows them.
  virtual double cost_factor(std::size_t num_own_rows) const;

  // ---- who answers

  /// Whether every task has an expert of its own, among whom queries are routed. Else who answers
  /// follows from the stage alone.
  virtual bool has_experts() const { return false; }
  /// Whether a router is the user's choice (keys method.router and eval.routers).
  virtual bool lets_routers_choose() const { return false; }
  virtual std::unique_ptr<Router> make_router() const = 0;
  /// One of the others that could answer (key eval.routers). kUsage where there is no choice.
  virtual std::unique_ptr<Router> make_router(const std::string& name) const = 0;
};

/// The method of the config (key method.method). An unknown name: kUsage, with the nearest.
std::unique_ptr<Method> make_method(const config::Config& config);
std::vector<std::string> method_names();

}  // namespace baton::method
