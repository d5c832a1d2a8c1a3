#include "baton/checkpoint/statistics_file.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "baton/base/error.hpp"
#include "checkpoint_fixture.hpp"

namespace baton::checkpoint {
namespace {

class StatisticsFileTest : public CheckpointTest {
 protected:
  static expert::FeatureStatistics small() {
    expert::FeatureStatistics statistics;
    statistics.task = "qa";
    statistics.base_fingerprint = "base";
    statistics.rows_fingerprint = "rows";
    statistics.layer = 2;
    statistics.num_inputs = 8;
    statistics.width = 2;
    statistics.seed = 1ULL << 63;
    statistics.num_rows = 5;
    statistics.sum = {1.5F, -2};
    statistics.gram = {3, 4, 4, 7};
    return statistics;
  }
  std::filesystem::path path() const { return folder_ / "01-qa.h5"; }
};

TEST_F(StatisticsFileTest, ComesBackAsItWasAndGivesTheSameBytes) {
  save_statistics(path(), small());
  const expert::FeatureStatistics loaded = load_statistics(path());
  EXPECT_EQ(loaded.task, "qa");
  EXPECT_EQ(loaded.seed, 1ULL << 63);
  EXPECT_EQ(loaded.sum, small().sum);
  EXPECT_EQ(loaded.gram, small().gram);
  save_statistics(folder_ / "again.h5", loaded);
  EXPECT_EQ(read_all(path()), read_all(folder_ / "again.h5"));
}

TEST_F(StatisticsFileTest, WhatCannotBeUsedIsRefused) {
  for (const int fault : {0, 1, 2}) {
    expert::FeatureStatistics bad = small();
    switch (fault) {
      case 0:
        bad.sum[0] = std::numeric_limits<float>::quiet_NaN();
        break;
      case 1:
        bad.num_rows = 0;
        break;
      default:
        bad.layer = -1;
    }
    try {
      save_statistics(path(), bad);
      load_statistics(path());
      ADD_FAILURE() << fault;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << error.what();
    }
  }
}

}  // namespace
}  // namespace baton::checkpoint
