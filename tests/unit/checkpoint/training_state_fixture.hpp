#pragma once
// A small training state whose every value depends on its step.

#include <gtest/gtest.h>

#include <cstring>

#include "baton/base/wire.hpp"
#include "baton/expert/training_state.hpp"

namespace baton::checkpoint {

inline expert::TrainingState training_state(std::int64_t step) {
  constexpr std::size_t kSize = 1000;
  expert::TrainingState state;
  state.task = "qa";
  state.identity.set("learning_rate", "0.0002");
  state.identity.set("template", "chatml \"quoted\" \xc3\xa9");
  state.seed = 0xfedcba9876543210U;
  state.step = step;
  state.num_updates = 40;
  for (std::size_t i = 0; i < kSize; ++i) {
    state.parameters.push_back(static_cast<float>(step) + static_cast<float>(i));
    state.first_moment.push_back(static_cast<float>(step) * 0.37F - static_cast<float>(i));
    state.second_moment.push_back(1.0F / static_cast<float>(i + 1));
  }
  state.skipped_updates = {2, 9};
  state.first_loss = 3.25;
  state.last_loss = 1.0 / 3;
  state.seconds = 12.75;
  state.num_tokens = 123'456'789'012;
  return state;
}

/// The same after validations, the best of them after `best_step`.
inline expert::TrainingState validated_state(std::int64_t step, std::int64_t best_step) {
  expert::TrainingState state = training_state(step);
  state.validation = {.step = step,
                      .loss = 2.5,
                      .best_step = best_step,
                      .best_loss = 1.0 / 7,
                      .num_without_gain = 3};
  state.best_parameters = training_state(best_step).parameters;
  return state;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

inline void expect_same(const expert::TrainingState& a, const expert::TrainingState& b) {
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.identity.facts(), b.identity.facts());
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.num_updates, b.num_updates);
  EXPECT_TRUE(same_bits(a.parameters, b.parameters));
  EXPECT_TRUE(same_bits(a.first_moment, b.first_moment));
  EXPECT_TRUE(same_bits(a.second_moment, b.second_moment));
  EXPECT_TRUE(same_bits(a.best_parameters, b.best_parameters));
  EXPECT_EQ(base::to_bytes(a.validation), base::to_bytes(b.validation));
  EXPECT_EQ(a.skipped_updates, b.skipped_updates);
  EXPECT_EQ(a.first_loss, b.first_loss);
  EXPECT_EQ(a.last_loss, b.last_loss);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.num_tokens, b.num_tokens);
}

}  // namespace baton::checkpoint
