#pragma once
// What chance in the queries leaves open: a percentile bootstrap over queries, drawn anew within
// every task. Pure; the seed is the caller's.

#include <cstdint>
#include <vector>

namespace baton::report {

inline constexpr int kResamples = 2000;

/// [task][query]: what a query adds. The statistic is the sum over tasks of the mean over the
/// task's queries, so a mean over T tasks is written with values that are divided by T.
using Contributions = std::vector<std::vector<double>>;

struct Interval {
  double value = 0;  // of the queries as they are
  double low = 0;    // 2.5 % and 97.5 % of the resamples, between neighbours by line
  double high = 0;
};

double statistic(const Contributions& contributions);

Interval bootstrap(const Contributions& contributions,
                   std::uint64_t seed,
                   int num_resamples = kResamples);

/// a - b, query by query: the pairing.
Contributions difference(const Contributions& a, const Contributions& b);

/// The value below which the share `share` of the sorted values lies, by line between neighbours.
double quantile(const std::vector<double>& sorted, double share);

}  // namespace baton::report
