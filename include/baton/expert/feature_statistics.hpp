#pragma once
// What one task leaves for the analytic router: sums over its train rows of widened features phi of
// the frozen base. From the sums of all tasks the least-squares classifier of any set of tasks
// follows in closed form, in whatever order they came.

#include <cstdint>
#include <string>
#include <vector>

namespace baton::expert {

struct FeatureStatistics {
  std::string task;
  std::string base_fingerprint;
  std::string rows_fingerprint;  // of the train rows
  std::int64_t layer = 0;        // layers of the base below the features
  std::int64_t num_inputs = 0;   // D
  std::int64_t width = 0;        // M
  std::uint64_t seed = 0;        // of the widening map
  std::int64_t num_rows = 0;
  std::vector<float> sum;   // [M]: sum of phi
  std::vector<float> gram;  // [M, M]: sum of phi phi^T

  /// The facts, everything but the sums.
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("base_fingerprint", self.base_fingerprint);
    visit("rows_fingerprint", self.rows_fingerprint);
    visit("layer", self.layer);
    visit("num_inputs", self.num_inputs);
    visit("width", self.width);
    visit("seed", self.seed);
    visit("num_rows", self.num_rows);
  }
};

}  // namespace baton::expert
