#pragma once
// An expert in the middle of its training, between two updates: all that is needed to go on with
// the same bits. The order of rows, dropout and the schedule are functions of seed and step, so the
// step is their whole state. The currency between trainer and checkpoint files; it knows neither.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::expert {

struct TrainingState {
  std::string task;
  Identity identity;                          // of the expert that it will become
  std::uint64_t seed = 0;                     // of the expert: order of rows and dropout
  std::int64_t step = 0;                      // updates made
  std::int64_t num_updates = 0;               // of the whole training
  std::vector<float> parameters;              // [P] all factors in the order of the expert's arrays
  std::vector<float> first_moment;            // [P]
  std::vector<float> second_moment;           // [P]
  std::vector<std::int64_t> skipped_updates;  // left out because they were not finite
  double first_loss = 0;
  double last_loss = 0;
  double seconds = 0;  // of training so far, over all attempts
  std::int64_t num_tokens = 0;
  std::int64_t threads_per_rank = 0;  // another number may change last bits
};

}  // namespace baton::expert
