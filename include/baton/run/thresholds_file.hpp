#pragma once
// RUN/thresholds.json: thresholds that were set anew for a finished run, beside those in the
// experts' files, which stay as they were trained. Each is bound to the file of its expert.

#include <map>
#include <optional>
#include <string>

#include "baton/run/run_record.hpp"

namespace baton::run {

inline constexpr const char* kThresholdsFile = "thresholds.json";

struct SetThreshold {
  double threshold = 0;
  double trained = 0;       // the one in the expert's file
  double own_accepted = 0;  // of held-out rows, by the expert's ROC
  double foreign_accepted = 0;
  std::string expert_sha256;  // of the expert's file
};

struct Thresholds {
  std::string target;  // as it was asked for
  std::map<std::string, SetThreshold> by_task;
};

/// Nothing where none were set. kModel when the file is damaged or not the one in run.json.
std::optional<Thresholds> load_thresholds(const RunFolder& folder);
/// Writes the file and notes it in run.json. The folder's lock is held.
void save_thresholds(RunFolder& folder, const Thresholds& thresholds);
/// Back to the thresholds of the training.
void remove_thresholds(RunFolder& folder);

}  // namespace baton::run
