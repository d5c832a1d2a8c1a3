#pragma once
// The gates of one expert as plain values: what the router `gates` knows of it, and what they were
// learnt from.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::expert {

struct GateState {
  std::string task;
  std::string expert_sha256;  // of the expert's file, which settles base, rows and factors
  std::string dtype;          // of the base while they were learnt
  std::int64_t num_rows = 0;
  std::int64_t train_batch_size = 0;
  std::int64_t micro_batch_size = 0;
  std::int64_t steps = 0;
  double learning_rate = 0;
  std::uint64_t seed = 0;
  double first_loss = 0;
  double last_loss = 0;
  std::vector<NamedArray> arrays;  // [in] each, by layer and linear

  /// The facts, everything but the arrays.
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("expert_sha256", self.expert_sha256);
    visit("dtype", self.dtype);
    visit("num_rows", self.num_rows);
    visit("train_batch_size", self.train_batch_size);
    visit("micro_batch_size", self.micro_batch_size);
    visit("steps", self.steps);
    visit("learning_rate", self.learning_rate);
    visit("seed", self.seed);
    visit("first_loss", self.first_loss);
    visit("last_loss", self.last_loss);
  }
};

}  // namespace baton::expert
