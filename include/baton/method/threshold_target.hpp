#pragma once
// Which point of an expert's ROC its threshold takes: what `baton calibrate` is told to aim at.
// Needs no model, for the curve stands in the expert's file.

#include <span>
#include <string>

#include "baton/expert/expert_state.hpp"

namespace baton::method {

struct ThresholdTarget {
  enum class Kind {
    kBalanced,     // the best balanced accuracy, as at the end of training
    kFalseAccept,  // the most own rows accepted where at most `value` of the foreign ones are
    kCost          // least cost, a foreign row accepted being as bad as `value` own ones passed on
  };
  Kind kind = Kind::kBalanced;
  double value = 0;
};

/// "balanced", "false_accept=0.05" (0 to 1) or "cost=5" (above 0); anything else: kUsage.
ThresholdTarget parse_threshold_target(const std::string& text);

/// The point of `roc` (at least one; thresholds ascend) that serves the target best; among equals
/// the one farthest from its neighbours, then the lowest.
const expert::RocPoint& choose_point(std::span<const expert::RocPoint> roc,
                                     const ThresholdTarget& target);

}  // namespace baton::method
