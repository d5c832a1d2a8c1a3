#include "baton/report/bootstrap.hpp"

#include <algorithm>
#include <cmath>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::report {

double statistic(const Contributions& contributions) {
  double total = 0;
  for (const std::vector<double>& task : contributions) {
    double sum = 0;
    for (const double value : task) {
      sum += value;
    }
    total += sum / static_cast<double>(task.size());
  }
  return total;
}

Interval bootstrap(const Contributions& contributions, std::uint64_t seed, int num_resamples) {
  base::Random random(seed);
  std::vector<double> drawn;
  for (int i = 0; i < num_resamples; ++i) {
    double total = 0;
    for (const std::vector<double>& task : contributions) {
      double sum = 0;
      for (std::size_t k = 0; k < task.size(); ++k) {
        sum += task[static_cast<std::size_t>(random.below(task.size()))];
      }
      total += sum / static_cast<double>(task.size());
    }
    drawn.push_back(total);
  }
  std::sort(drawn.begin(), drawn.end());
  return {statistic(contributions), quantile(drawn, 0.025), quantile(drawn, 0.975)};
}

Contributions difference(const Contributions& a, const Contributions& b) {
  BATON_ASSERT(a.size() == b.size(), "tasks of two methods");
  Contributions out = a;
  for (std::size_t task = 0; task < a.size(); ++task) {
    BATON_ASSERT(a[task].size() == b[task].size(), "queries of two methods");
    for (std::size_t query = 0; query < a[task].size(); ++query) {
      out[task][query] -= b[task][query];
    }
  }
  return out;
}

double quantile(const std::vector<double>& sorted, double share) {
  BATON_ASSERT(!sorted.empty(), "no values");
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

}  // namespace baton::report
