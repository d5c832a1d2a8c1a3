#pragma once
// The table at the end of a training: one row an expert with how well it knows its own rows, and
// below it, where nothing scrolls it away, what is doubtful.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "baton/base/json.hpp"
#include "baton/method/calibration.hpp"

namespace baton::app {

/// A threshold's counts and shares as they travel from a group's leader to rank 0.
base::Json to_json(const method::Calibration& found);

struct TrainedExpert {
  std::string task;
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::int64_t num_updates = 0;
  double last_loss = 0;
  double threshold = 0;
  double seconds = 0;
  base::Json calibration;  // of to_json; null where the threshold was given as a number
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
};

}  // namespace baton::app
