#include "baton/metrics/score_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::metrics {

namespace {

std::size_t index_of(int stage, int task, std::size_t num_tasks) {
  const bool inside = stage >= 0 && task >= 0 && static_cast<std::size_t>(stage) <= num_tasks &&
                      static_cast<std::size_t>(task) < num_tasks;
  BATON_ASSERT(inside, fmt::format("stage {}, task {} of {}", stage, task, num_tasks));
  return static_cast<std::size_t>(stage) * num_tasks + static_cast<std::size_t>(task);
}

// A field of a CSV line (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  }
  return quoted + '"';
}

}  // namespace

ScoreMatrix::ScoreMatrix(std::vector<std::string> tasks)
    : tasks_(std::move(tasks)),
      scores_((tasks_.size() + 1) * tasks_.size(), std::numeric_limits<double>::quiet_NaN()) {
  BATON_ASSERT(!tasks_.empty(), "a score matrix without tasks");
}

double ScoreMatrix::at(int stage, int task) const {
  const double score = scores_[index_of(stage, task, tasks_.size())];
  BATON_ASSERT(!std::isnan(score),
               fmt::format("score of stage {}, task {} was never set", stage, task));
  return score;
}

void ScoreMatrix::set(int stage, int task, double score) {
  BATON_ASSERT(std::isfinite(score),
               fmt::format("score {} at stage {}, task {}", score, stage, task));
  scores_[index_of(stage, task, tasks_.size())] = score;
}

double ScoreMatrix::average() const {
  const int num_tasks = static_cast<int>(tasks_.size());
  double sum = 0;
  for (int task = 0; task < num_tasks; ++task) {
    sum += at(num_tasks, task);
  }
  return sum / num_tasks;
}

std::optional<double> ScoreMatrix::backward_transfer() const {
  const int num_tasks = static_cast<int>(tasks_.size());
  if (num_tasks < 2) {
    return std::nullopt;
  }
  double sum = 0;
  for (int task = 0; task + 1 < num_tasks; ++task) {
    sum += at(num_tasks, task) - at(task + 1, task);
  }
  return sum / (num_tasks - 1);
}

std::optional<double> ScoreMatrix::forward_transfer() const {
  const int num_tasks = static_cast<int>(tasks_.size());
  if (num_tasks < 2) {
    return std::nullopt;
  }
  double sum = 0;
  for (int task = 1; task < num_tasks; ++task) {
    sum += at(task, task);  // stage j-1 in the formula's count: before the task's own expert joined
  }
  return sum / (num_tasks - 1);
}

std::optional<double> ScoreMatrix::forgetting() const {
  const int num_tasks = static_cast<int>(tasks_.size());
  if (num_tasks < 2) {
    return std::nullopt;
  }
  double sum = 0;
  for (int task = 0; task + 1 < num_tasks; ++task) {
    double best = at(task + 1, task);
    for (int stage = task + 2; stage < num_tasks; ++stage) {
      best = std::max(best, at(stage, task));
    }
    sum += best - at(num_tasks, task);
  }
  return sum / (num_tasks - 1);
}

std::string ScoreMatrix::to_csv() const {
  const int num_tasks = static_cast<int>(tasks_.size());
  std::string text = "stage";
  for (const std::string& task : tasks_) {
    text += ',';
    text += csv_field(task);
  }
  text += "\n";
  for (int stage = 0; stage <= num_tasks; ++stage) {
    text += std::to_string(stage);
    for (int task = 0; task < num_tasks; ++task) {
      text += fmt::format(",{:.17g}", at(stage, task));
    }
    text += "\n";
  }
  return text;
}

}  // namespace baton::metrics
