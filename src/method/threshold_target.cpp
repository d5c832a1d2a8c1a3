#include "baton/method/threshold_target.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "baton/base/error.hpp"

namespace baton::method {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kUsage, "this is no target for thresholds",
                    {.where = "--target",
                     .expected = "balanced, false_accept=F with F from 0 to 1, or cost=C with C "
                                 "above 0",
                     .found = text,
                     .fix = "for example --target false_accept=0.05"});
}

std::optional<double> number_after(const std::string& text, const std::string& name) {
  if (!text.starts_with(name + "=")) {
    return std::nullopt;
  }
  const char* begin = text.data() + name.size() + 1;
  const char* end = text.data() + text.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || stop != end) {
    refuse(text);
  }
  return value;
}

// What is to be as large as possible.
double merit_of(const expert::RocPoint& point, const ThresholdTarget& target) {
  switch (target.kind) {
    case ThresholdTarget::Kind::kBalanced:
      return point.true_positive_rate - point.false_positive_rate;
    case ThresholdTarget::Kind::kFalseAccept:
      // Of points that keep to the rate the one with the most own rows, then the fewest foreign.
      return point.false_positive_rate <= target.value
                 ? 1 + point.true_positive_rate - 1e-9 * point.false_positive_rate
                 : -point.false_positive_rate;
    case ThresholdTarget::Kind::kCost:
      return point.true_positive_rate - target.value * point.false_positive_rate;
  }
  return 0;
}

double room_around(std::span<const expert::RocPoint> roc, std::size_t i) {
  if (i == 0 || i + 1 == roc.size()) {
    return 0;  // "accept all" and "pass all" win only where nothing between margins is as good
  }
  return std::min(roc[i].threshold - roc[i - 1].threshold, roc[i + 1].threshold - roc[i].threshold);
}

}  // namespace

ThresholdTarget parse_threshold_target(const std::string& text) {
  using Kind = ThresholdTarget::Kind;
  if (text == "balanced") {
    return {};
  }
  if (const auto rate = number_after(text, "false_accept"); rate && *rate >= 0 && *rate <= 1) {
    return {Kind::kFalseAccept, *rate};
  }
  if (const auto cost = number_after(text, "cost");
      cost && *cost > 0 && *cost <= std::numeric_limits<float>::max()) {
    return {Kind::kCost, *cost};
  }
  refuse(text);
}

const expert::RocPoint& choose_point(std::span<const expert::RocPoint> roc,
                                     const ThresholdTarget& target) {
  BATON_ASSERT(!roc.empty(), "a curve without points");
  std::size_t best = 0;
  for (std::size_t i = 1; i < roc.size(); ++i) {
    const double merit = merit_of(roc[i], target);
    const double least = merit_of(roc[best], target);
    if (merit > least || (merit == least && room_around(roc, i) > room_around(roc, best))) {
      best = i;
    }
  }
  return roc[best];
}

}  // namespace baton::method
