#pragma once
// The scorers by name (config key eval.metric). A scorer gives 0-100 for one prediction against its
// references. A new one is a function and a line in the list of metric.cpp.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::metrics {

using MetricFunction = double (*)(std::string_view prediction,
                                  std::span<const std::string> references);

/// "rouge_l" or "exact_match". An unknown name is a kUsage error with the nearest name.
MetricFunction make_metric(const std::string& name);

/// The names make_metric knows.
std::vector<std::string> metric_names();

}  // namespace baton::metrics
