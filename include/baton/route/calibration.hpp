#pragma once
// accept_threshold = auto: an expert's threshold from margins of rows held out of its training. Pure.

#include <span>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::route {

struct Calibration {
  double threshold = 0;
  double balanced_accuracy = 0;  // at that threshold, on the held-out rows
  std::vector<expert::RocPoint> roc;
};

/// The threshold with the best balanced accuracy; on ties the middle of the widest gap between neighbouring
/// margins that reaches it. Without rows on either side the threshold is 0.
Calibration calibrate(std::span<const double> own_margins, std::span<const double> foreign_margins);

}  // namespace baton::route
