#pragma once
// An evaluated run as a report reads it: run.json, eval/, logs/, experts' facts. Needs no model.
// What cannot be reported is refused here: a run that was never evaluated, one whose evaluation is
// unfinished or older than its tasks, and runs that cannot stand beside one another.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "baton/expert/expert_state.hpp"
#include "baton/run/run_record.hpp"

namespace baton::report {

/// The key of the scores with the true task's expert, and the router that is told the true task.
inline constexpr const char* kOracle = "oracle";
inline constexpr int kBaseAnswers = -1;
inline constexpr int kTogetherAnswers = -2;  // several experts as one

struct Query {
  std::string id;
  std::string prompt;
  std::vector<double> stage_scores;            // [stage 0..T]: of the run's own router
  std::vector<int> answered_by;                // [stage]: place of a task, or one of these
  std::vector<std::optional<double>> margins;  // [expert]
  double base_score = 0;
  std::optional<double> oracle_score;
};

struct RouterScores {
  std::string router;
  std::vector<std::vector<double>> matrix;  // [stage 0..T][task]
  std::optional<double> average, backward, forward, forgetting;
  std::vector<std::vector<std::int64_t>> routing;  // [true task][answerer, base last]; may be empty
  std::optional<double> routing_accuracy;
  double experts_asked = 0;
  double prompt_tokens = 0;  // read for a query
  double new_tokens = 0;     // decoded for a query
};

struct LossPoint {
  std::int64_t step = 0;
  double loss = 0;
};

/// One learner's file; methods have none, one or one a task.
struct ExpertFacts {
  std::string task;
  std::size_t place = 0;  // in the task list
  bool decides = false;   // has margins
  double threshold = 0;   // the one that the evaluation used
  bool was_set_anew = false;
  std::vector<expert::RocPoint> roc;         // held-out rows; may be empty
  std::vector<LossPoint> losses;             // may be empty
  std::vector<LossPoint> validation_losses;  // on rows held out; may be empty
  std::optional<run::MadeBy> made_by;
};

/// A set of multiple choice questions that belong to no task.
struct QuestionScores {
  std::string name;
  std::int64_t num_questions = 0;
  double base = 0;  // accuracy, 0-100
  double chain = 0;
  double difference_error = 0;  // standard error of chain - base
  double left_to_base = 0;      // share of the questions, 0-1
};

struct LoadedRun {
  std::filesystem::path path;
  std::string name;  // the folder's, told apart by its parents where two are the same
  std::string method;
  std::uint64_t seed = 0;
  std::string metric;
  std::string base_description;
  std::vector<std::string> tasks;
  std::vector<RouterScores> routers;        // the run's own first
  std::vector<double> oracle;               // [task]; empty for a method without experts
  std::vector<double> base;                 // [task]
  std::vector<std::vector<Query>> queries;  // [task]
  std::vector<ExpertFacts> experts;
  std::vector<QuestionScores> questions;        // may be empty
  std::vector<expert::RocPoint> foreign_curve;  // own queries against these; may be empty
  std::optional<double> foreign_area;           // under it, 0-1
  run::RunRecord record;
  std::optional<run::MadeBy> evaluated_by;
  std::optional<double> seconds_per_query;
  std::vector<std::string> remarks;  // what is not there

  std::size_t task_place(const std::string& task) const;
};

/// kUsage for a run that cannot be reported yet or twice; kModel for damaged files.
std::vector<LoadedRun> load_runs(const std::vector<std::filesystem::path>& folders);

/// kUsage where two of them have other tasks, scorers or queries, or are one run.
void check_comparable(const std::vector<LoadedRun>& runs);

}  // namespace baton::report
