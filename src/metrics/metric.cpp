#include "baton/metrics/metric.hpp"

#include <array>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/metrics/exact_match.hpp"
#include "baton/metrics/rouge_l.hpp"

namespace baton::metrics {

namespace {

struct NamedMetric {
  const char* name;
  MetricFunction function;
};

constexpr std::array<NamedMetric, 2> kMetrics{{
    {"rouge_l", rouge_l_best},
    {"exact_match", exact_match_best},
}};

}  // namespace

MetricFunction make_metric(const std::string& name) {
  for (const NamedMetric& metric : kMetrics) {
    if (name == metric.name) {
      return metric.function;
    }
  }
  const std::vector<std::string> names = metric_names();
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "there is no metric of this name",
      {.where = "config key eval.metric",
       .expected = base::join(names, " or "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names"});
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const NamedMetric& metric : kMetrics) {
    names.emplace_back(metric.name);
  }
  return names;
}

}  // namespace baton::metrics
