#pragma once
// Rehearsal rows of a task: all that later experts see of it. Who chooses them is the method's.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

/// SHA-256 over ids, conversations and references, in order.
std::string rows_fingerprint(std::span<const Example> rows);

/// Rehearsal rows of one task; made once from its training rows, all that later experts see of it.
struct RehearsalBuffer {
  std::string task;
  std::int64_t num_task_rows = 0;  // |D_j|
  double ratio = 0;
  std::uint64_t seed = 0;
  std::string selection = "random";
  std::vector<Example> rows;
  /// Digest of all that they were chosen from, where choosing them takes the model; not part of the
  /// fingerprint.
  std::string chosen_from = {};

  /// SHA-256 over everything above that later experts can see.
  std::string fingerprint() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("num_task_rows", self.num_task_rows);
    visit("ratio", self.ratio);
    visit("seed", self.seed);
    visit("selection", self.selection);
    visit("rows", self.rows);
    visit("chosen_from", self.chosen_from);
  }
};

}  // namespace baton::data
