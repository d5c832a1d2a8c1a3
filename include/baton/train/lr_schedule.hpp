#pragma once
// The learning rate as a function of the update, equal to the schedules transformers users know.

#include <cstdint>
#include <string>

namespace baton::train {

enum class LrSchedulerType { kConstant, kLinear, kCosine };

/// "constant", "linear" or "cosine"; anything else is a kUsage error.
LrSchedulerType lr_scheduler_from_name(const std::string& name);

struct LrSchedule {
  LrSchedulerType type = LrSchedulerType::kCosine;
  double peak = 1e-3;
  double warmup_ratio = 0;  // warm-up updates = ceil(warmup_ratio x num_updates)
  std::int64_t num_updates = 1;

  /// The rate of update `step`, counted from 0: rises linearly from 0 over the warm-up (its first
  /// update has rate 0), then constant, linear to 0, or half a cosine to 0.
  double at(std::int64_t step) const;
};

}  // namespace baton::train
