#include "baton/checkpoint/gate_file.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "baton/base/error.hpp"
#include "baton/checkpoint/statistics_file.hpp"
#include "checkpoint_fixture.hpp"

namespace baton::checkpoint {
namespace {

class GateFileTest : public CheckpointTest {
 protected:
  static expert::GateState small() {
    expert::GateState state;
    state.task = "qa";
    state.expert_sha256 = "abc";
    state.dtype = "float32";
    state.num_rows = 20;
    state.steps = 100;
    state.learning_rate = 5e-3;
    state.seed = 1ULL << 63;
    state.last_loss = 0.25;
    state.arrays = {{"layers.0.q.gate", {3}, {1.5F, -2, 0}}, {"layers.0.v.gate", {2}, {3, 4}}};
    return state;
  }
  std::filesystem::path path() const { return folder_ / "01-qa.gates.h5"; }
};

TEST_F(GateFileTest, ComesBackAsItWasAndGivesTheSameBytes) {
  save_gates(path(), small());
  const expert::GateState loaded = load_gates(path());
  EXPECT_EQ(loaded.task, "qa");
  EXPECT_EQ(loaded.seed, 1ULL << 63);
  EXPECT_EQ(loaded.learning_rate, 5e-3);
  ASSERT_EQ(loaded.arrays.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(loaded.arrays[i].name, small().arrays[i].name);
    EXPECT_EQ(loaded.arrays[i].shape, small().arrays[i].shape);
    EXPECT_EQ(loaded.arrays[i].values, small().arrays[i].values);
  }
  save_gates(folder_ / "again.h5", loaded);
  EXPECT_EQ(read_all(path()), read_all(folder_ / "again.h5"));
}

TEST_F(GateFileTest, WhatCannotBeUsedIsRefused) {
  const auto refuses = [&](const char* why) {
    try {
      load_gates(path());
      ADD_FAILURE() << why;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << error.what();
    }
  };
  expert::GateState bad = small();
  bad.arrays[1].values[0] = std::numeric_limits<float>::infinity();
  save_gates(path(), bad);
  refuses("a value that is not finite");
  expert::FeatureStatistics other;
  other.width = 1;
  other.sum = {1};
  other.gram = {1};
  save_statistics(path(), other);
  refuses("another kind of file");
}

}  // namespace
}  // namespace baton::checkpoint
