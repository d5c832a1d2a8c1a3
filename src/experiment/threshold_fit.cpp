#include "threshold_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/comm/share.hpp"
#include "baton/eval/margins.hpp"

namespace baton::experiment {

namespace {

constexpr int kNumFolds = 2;

class ThresholdFit {
 public:
  ThresholdFit(const ThresholdJob& job, comm::Communicator& group)
      : job_(job), group_(group), task_(job.expert.identity.facts().at("task")) {}

  std::optional<method::Calibration> run() {
    const bool whole = prepared().cross_fits ? cross_fit() : ask(job_.trained, prepared().held_out);
    if (!whole) {
      return std::nullopt;
    }
    const method::Calibration found = method::calibrate(own_, foreign_);
    if (group_.rank() == 0) {
      base::log_info(
          "train",
          fmt::format("{}: threshold {:.4g}{}; of rows it had not learnt from it accepts {:.3f} of "
                      "{} own and passes {:.3f} of {} others",
                      task_, found.threshold, prepared().cross_fits ? ", cross-fitted" : "",
                      found.own_accepted, found.num_own, found.foreign_passed, found.num_foreign));
    }
    return found;
  }

 private:
  const PreparedExpert& prepared() const { return job_.expert.prepared; }

  bool wants_stop() const {
    job_.hooks.heartbeat.set_place("threshold", task_, 1);
    if (!job_.hooks.faults.empty()) {
      job_.hooks.faults.before_slot(task_, job_.hooks.attempt, FaultInjection::kAfterTraining,
                                    group_);
    }
    return job_.hooks.should_stop();
  }

  // False when asked to stop, as all below.
  bool cross_fit() {
    for (int fold = 0; fold < kNumFolds; ++fold) {
      if (group_.rank() == 0) {
        base::log_info("train",
                       fmt::format("{}: few rows, so its threshold is cross-fitted: expert "
                                   "{} of {} without a part of them",
                                   task_, fold + 1, kNumFolds));
      }
      std::vector<data::TrainingRow> learnt;
      std::vector<data::TrainingRow> left_out;
      for (const data::TrainingRow& row : prepared().training) {
        (row.fold == fold ? left_out : learnt).push_back(row);
      }
      for (const data::TrainingRow& row : prepared().held_out) {
        if (row.fold == fold) {
          left_out.push_back(row);
        }
      }
      if (!train_and_ask(std::move(learnt), left_out)) {
        return false;
      }
    }
    return true;
  }

  bool train_and_ask(std::vector<data::TrainingRow> learnt,
                     const std::vector<data::TrainingRow>& left_out) {
    train::TrainerOptions options = job_.training;
    options.early_stopping_patience = 0;
    options.before_slot = [this] { return wants_stop(); };
    options.on_gradient = {};
    std::optional<train::Trainer> trainer;
    comm::together(group_, [&] {
      trainer.emplace(*job_.expert.workspace.model, group_, std::move(learnt), job_.initial,
                      options);
    });
    const auto num_updates = static_cast<std::int64_t>(
        std::ceil(job_.share_trained * static_cast<double>(trainer->learner().num_updates())));
    while (trainer->learner().num_steps() < num_updates) {
      try {
        trainer->train_step();
      } catch (const train::NonFiniteUpdate& error) {
        if (job_.expert.config.train.non_finite == "stop") {
          throw;
        }
        trainer->learner().leave_out(error.update(), error.update());
      }
      if (trainer->stopped()) {
        return false;
      }
    }
    return ask(trainer->learner().adapter(), left_out);
  }

  // Whole batches are dealt to the ranks, so what a batch holds does not depend on their number.
  bool ask(const model::Adapter& adapter, const std::vector<data::TrainingRow>& rows) {
    std::vector<eval::Prompt> prompts;
    for (const data::TrainingRow& row : rows) {
      prompts.emplace_back(row.tokens.begin(), row.tokens.begin() + row.prompt_length);
    }
    const auto batches =
        eval::margin_batches(prompts, job_.expert.config.method.calibration_batch_size);
    const auto num_ranks = static_cast<std::size_t>(group_.size());
    std::vector<std::vector<double>> margins(batches.size());
    for (std::size_t first = 0; first < batches.size(); first += num_ranks) {
      const std::size_t mine = first + static_cast<std::size_t>(group_.rank());
      std::optional<base::Error> failure;
      bool stops = false;
      try {
        stops = wants_stop();
        if (!stops && mine < batches.size()) {
          margins[mine] = eval::margins(*job_.expert.workspace.model, adapter, prompts,
                                        batches[mine], *job_.expert.workspace.indicators);
        }
      } catch (...) {
        failure = base::current_error();
      }
      if (comm::agree_or_stop(group_, failure, stops)) {
        return false;
      }
      share(margins, first);
    }
    for (std::size_t batch = 0; batch < batches.size(); ++batch) {
      for (std::size_t i = 0; i < batches[batch].size(); ++i) {
        const bool is_own = rows[batches[batch][i]].role == data::RowRole::kPositive;
        (is_own ? own_ : foreign_).push_back(margins[batch][i]);
      }
    }
    return true;
  }

  // The margins of one round of batches, from every rank to all.
  void share(std::vector<std::vector<double>>& margins, std::size_t first) {
    const std::size_t mine = first + static_cast<std::size_t>(group_.rank());
    auto all =
        comm::from_all(group_, mine < margins.size() ? margins[mine] : std::vector<double>());
    for (std::size_t r = 0; r < all.size() && first + r < margins.size(); ++r) {
      margins[first + r] = std::move(all[r]);
    }
  }

  const ThresholdJob& job_;
  comm::Communicator& group_;
  std::string task_;
  std::vector<double> own_;
  std::vector<double> foreign_;
};

}  // namespace

std::optional<method::Calibration> fit_threshold(const ThresholdJob& job,
                                                 comm::Communicator& group) {
  return ThresholdFit(job, group).run();
}

}  // namespace baton::experiment
