#pragma once
// accept_threshold = auto: an expert's threshold from margins of rows held out of its training.
// Pure.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::method {

struct Calibration {
  double threshold = 0;
  double balanced_accuracy = 0;  // at that threshold, on the held-out rows
  std::int64_t num_own = 0;      // margins it was set from
  std::int64_t num_foreign = 0;
  double own_accepted = 0;    // share of the own rows above it
  double foreign_passed = 0;  // share of the foreign rows not above it
  std::vector<expert::RocPoint> roc;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("threshold", self.threshold);
    visit("balanced_accuracy", self.balanced_accuracy);
    visit("num_own", self.num_own);
    visit("num_foreign", self.num_foreign);
    visit("own_accepted", self.own_accepted);
    visit("foreign_passed", self.foreign_passed);
    visit("roc", self.roc);
  }
};

/// Fewer margins than this on one side do not place a threshold.
inline constexpr std::int64_t kLeastMargins = 8;

/// The threshold with the best balanced accuracy; on ties the middle of the widest gap between
/// neighbouring margins that reaches it (of equal gaps the one nearest to 0, then the lower).
/// Candidates are the middles of all gaps and, for "accept all" and "pass all", 1 below the
/// smallest and 1 above the largest margin; these two count as gaps of width 0. roc holds one point
/// per candidate, thresholds ascending. Without rows on either side: threshold 0, balanced accuracy
/// 0 (unknown), no ROC points. A margin that is not finite is a kNonFinite error.
Calibration calibrate(std::span<const double> own_margins, std::span<const double> foreign_margins);

/// What is doubtful about a threshold, in words for its user, with what to do: too few margins, or
/// less than nine tenths of the own rows accepted or of the foreign ones passed. Empty when all is
/// well.
std::vector<std::string> doubts_about(const std::string& task, const Calibration& found);

}  // namespace baton::method
