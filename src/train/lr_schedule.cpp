#include "baton/train/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "baton/base/error.hpp"

namespace baton::train {

LrSchedulerType lr_scheduler_from_name(const std::string& name) {
  if (name == "constant") {
    return LrSchedulerType::kConstant;
  }
  if (name == "linear") {
    return LrSchedulerType::kLinear;
  }
  if (name == "cosine") {
    return LrSchedulerType::kCosine;
  }
  throw base::Error(base::ErrorKind::kUsage, "unknown learning rate schedule",
                    {.where = "train.lr_scheduler_type",
                     .expected = "constant, linear or cosine",
                     .found = name,
                     .fix = "choose one of these"});
}

double LrSchedule::at(std::int64_t step) const {
  const auto warmup =
      static_cast<std::int64_t>(std::ceil(warmup_ratio * static_cast<double>(num_updates)));
  if (step < warmup) {
    return peak * static_cast<double>(step) /
           static_cast<double>(std::max<std::int64_t>(1, warmup));
  }
  const double progress = static_cast<double>(step - warmup) /
                          static_cast<double>(std::max<std::int64_t>(1, num_updates - warmup));
  switch (type) {
    case LrSchedulerType::kConstant:
      return peak;
    case LrSchedulerType::kLinear:
      return peak * std::max(0.0, 1.0 - progress);
    case LrSchedulerType::kCosine:
      return peak * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
  }
  return peak;
}

}  // namespace baton::train
