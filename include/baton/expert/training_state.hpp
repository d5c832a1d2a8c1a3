#pragma once
// An expert in the middle of its training, between two updates: all that is needed to go on with
// the same bits. The order of rows, dropout and the schedule are functions of seed and step, so the
// step is their whole state. The currency between trainer and checkpoint files; it knows neither.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::expert {

/// What validations (losses on rows not learnt from) said so far.
struct ValidationFacts {
  std::int64_t step = 0;       // updates before the newest; 0: none was made
  double loss = 0;             // the newest
  std::int64_t best_step = 0;  // before that with the lowest loss; 0: none was a number
  double best_loss = 0;
  std::int64_t num_without_gain = 0;  // in a row, the newest ones

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("validation_step", self.step);
    visit("validation_loss", self.loss);
    visit("best_step", self.best_step);
    visit("best_loss", self.best_loss);
    visit("validations_without_gain", self.num_without_gain);
  }
};

struct TrainingState {
  std::string task;
  Identity identity;                          // of the expert that it will become
  std::uint64_t seed = 0;                     // of the expert: order of rows and dropout
  std::int64_t step = 0;                      // updates made
  std::int64_t num_updates = 0;               // of the whole training
  std::vector<float> parameters;              // [P] all factors in the order of the expert's arrays
  std::vector<float> first_moment;            // [P]
  std::vector<float> second_moment;           // [P]
  std::vector<float> best_parameters;         // [P] of the lowest validation loss; empty: none
  std::vector<std::int64_t> skipped_updates;  // left out because they were not finite
  std::optional<ValidationFacts> validation;  // none before the first validation
  double first_loss = 0;
  double last_loss = 0;
  double seconds = 0;  // of training so far, over all attempts
  std::int64_t num_tokens = 0;
  std::int64_t threads_per_rank = 0;  // another number may change last bits

  /// The facts, everything but the vectors of floats: the one list of them (base/wire.hpp).
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("identity", self.identity);
    visit("seed", self.seed);
    visit("step", self.step);
    visit("num_updates", self.num_updates);
    visit("first_loss", self.first_loss);
    visit("last_loss", self.last_loss);
    visit("seconds", self.seconds);
    visit("num_tokens", self.num_tokens);
    visit("threads_per_rank", self.threads_per_rank);
    visit("skipped_updates", self.skipped_updates);
    visit("validation", self.validation);
  }
};

}  // namespace baton::expert
