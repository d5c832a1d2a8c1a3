#include "baton/method/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "baton/base/error.hpp"

namespace baton::method {

namespace {

struct Candidate {
  double threshold = 0;
  double gap = 0;  // 0 at the two ends: an end wins only where nothing between margins is as good
};

// A value t with a <= t < b, the middle where doubles allow it: a passes, b is accepted.
double between(double a, double b) {
  const double middle = a / 2 + b / 2;
  return middle >= a && middle < b ? middle : a;
}

std::vector<Candidate> list_candidates(std::vector<double> margins) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::sort(margins.begin(), margins.end());
  margins.erase(std::unique(margins.begin(), margins.end()), margins.end());
  std::vector<Candidate> candidates;
  const double low = margins.front();
  candidates.push_back({std::min(low - 1, std::nextafter(low, -kInfinity)), 0});
  for (std::size_t i = 1; i < margins.size(); ++i) {
    candidates.push_back({between(margins[i - 1], margins[i]), margins[i] - margins[i - 1]});
  }
  candidates.push_back({margins.back() + 1, 0});
  return candidates;
}

std::int64_t count_above(const std::vector<double>& sorted, double threshold) {
  return sorted.end() - std::upper_bound(sorted.begin(), sorted.end(), threshold);
}

void check_finite(std::span<const double> margins) {
  for (const double margin : margins) {
    if (!std::isfinite(margin)) {
      throw base::Error(base::ErrorKind::kNonFinite, "a margin of a held-out row is not finite",
                        {.where = "calibration of the accept threshold",
                         .expected = "finite logits",
                         .found = std::to_string(margin),
                         .fix = "lower the learning rate, or set accept_threshold to a number"});
    }
  }
}

}  // namespace

Calibration calibrate(std::span<const double> own_margins,
                      std::span<const double> foreign_margins) {
  check_finite(own_margins);
  check_finite(foreign_margins);
  Calibration result;
  result.num_own = static_cast<std::int64_t>(own_margins.size());
  result.num_foreign = static_cast<std::int64_t>(foreign_margins.size());
  if (own_margins.empty() || foreign_margins.empty()) {
    return result;
  }
  std::vector<double> own(own_margins.begin(), own_margins.end());
  std::vector<double> foreign(foreign_margins.begin(), foreign_margins.end());
  std::vector<double> all = own;
  all.insert(all.end(), foreign.begin(), foreign.end());
  std::sort(own.begin(), own.end());
  std::sort(foreign.begin(), foreign.end());
  const std::int64_t num_own = result.num_own;
  const std::int64_t num_foreign = result.num_foreign;

  // Balanced accuracy x 2 x |own| x |foreign|: whole numbers, so that ties are ties.
  std::int64_t best_merit = -1;
  double best_gap = 0;
  for (const Candidate& candidate : list_candidates(std::move(all))) {
    const std::int64_t own_accepted = count_above(own, candidate.threshold);
    const std::int64_t foreign_accepted = count_above(foreign, candidate.threshold);
    result.roc.push_back(
        {.threshold = candidate.threshold,
         .true_positive_rate = static_cast<double>(own_accepted) / static_cast<double>(num_own),
         .false_positive_rate =
             static_cast<double>(foreign_accepted) / static_cast<double>(num_foreign)});
    const std::int64_t merit =
        own_accepted * num_foreign + (num_foreign - foreign_accepted) * num_own;
    const bool wider =
        candidate.gap > best_gap ||
        (candidate.gap == best_gap && std::abs(candidate.threshold) < std::abs(result.threshold));
    if (merit > best_merit || (merit == best_merit && wider)) {
      best_merit = merit;
      best_gap = candidate.gap;
      result.threshold = candidate.threshold;
    }
  }
  result.own_accepted =
      static_cast<double>(count_above(own, result.threshold)) / static_cast<double>(num_own);
  result.foreign_passed = 1 - static_cast<double>(count_above(foreign, result.threshold)) /
                                  static_cast<double>(num_foreign);
  result.balanced_accuracy = static_cast<double>(best_merit) /
                             (2 * static_cast<double>(num_own) * static_cast<double>(num_foreign));
  return result;
}

std::vector<std::string> doubts_about(const std::string& task, const Calibration& found) {
  constexpr double kGood = 0.9;
  std::vector<std::string> doubts;
  if (found.num_own < kLeastMargins || found.num_foreign < kLeastMargins) {
    doubts.push_back(
        fmt::format("THE THRESHOLD OF {} IS A GUESS: {} own rows and {} of others were there to "
                    "set it from, {} "
                    "of each are the least. Give the task more rows, leave data.general on, or set "
                    "method.accept_threshold to a number",
                    task, found.num_own, found.num_foreign, kLeastMargins));
  }
  if (found.num_own == 0 || found.num_foreign == 0) {
    return doubts;
  }
  if (found.own_accepted < kGood) {
    doubts.push_back(fmt::format(
        "{} DOES NOT KNOW ITS OWN TASK: it accepts {:.2f} of {} own rows that it had not learnt "
        "from, so others will answer the rest. What helps: more rows, more train.num_train_epochs, "
        "an instruction that no other task has",
        task, found.own_accepted, found.num_own));
  }
  if (found.foreign_passed < kGood) {
    doubts.push_back(fmt::format(
        "{} TAKES WHAT IS NOT ITS OWN: it passes on {:.2f} of {} rows of earlier tasks and general "
        "rows, so it will answer for others. What helps: a larger method.negative_floor (and "
        "method.buffer_floor), more train.num_train_epochs, an instruction that no other task has",
        task, found.foreign_passed, found.num_foreign));
  }
  return doubts;
}

}  // namespace baton::method
