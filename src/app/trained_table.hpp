#pragma once
// The table at the end of a training: one row an expert with how well it knows its own rows, and
// below it, where nothing scrolls it away, what is doubtful.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/method/calibration.hpp"

namespace baton::app {

/// What a group's leader tells rank 0 of the expert that it finished.
struct TrainedExpert {
  std::string task;
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::int64_t num_updates = 0;
  double last_loss = 0;
  std::optional<double> validation_loss;  // of what was kept; none without validation rows
  double threshold = 0;
  double seconds = 0;
  std::optional<method::Calibration> calibration;  // none where the threshold was given
  std::vector<std::string> warnings;               // of its rows, for run.json

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("num_positive", self.num_positive);
    visit("num_negative", self.num_negative);
    visit("num_updates", self.num_updates);
    visit("last_loss", self.last_loss);
    visit("validation_loss", self.validation_loss);
    visit("threshold", self.threshold);
    visit("seconds", self.seconds);
    visit("calibration", self.calibration);
    visit("warnings", self.warnings);
  }
};

class TrainedTable {
 public:
  /// Rows are shown by rising `item`. Returns what is doubtful about this expert, in words.
  std::vector<std::string> add(int item, const TrainedExpert& expert);
  /// To stderr, the doubts as warnings. Nothing when no expert was added.
  void print() const;

 private:
  std::map<int, std::vector<std::string>> rows_;
  std::vector<std::string> doubts_;
  bool has_validation_ = false;
};

}  // namespace baton::app
