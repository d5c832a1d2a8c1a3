#include "unit/coordinator/coordinator_load.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

namespace baton::coordinator {
namespace {

TEST(CoordinatorLoad, ThousandWorkersTakeLittleOfOneCore) {
  const LoadResult load = measure_load(1024, 2, 1);
  EXPECT_TRUE(load.everyone_left);
  EXPECT_GT(load.num_steps, 100'000);
  std::cout << fmt::format("coordinator load {:.2f} % of one core\n", 100 * load.share_of_core);
  EXPECT_LT(load.share_of_core, 0.05);
}

TEST(CoordinatorLoad, GroupsOfUnequalSizesToo) {
  const LoadResult load = measure_load(1024, 2, 4);
  EXPECT_TRUE(load.everyone_left);
  std::cout << fmt::format("coordinator load {:.2f} % of one core\n", 100 * load.share_of_core);
  EXPECT_LT(load.share_of_core, 0.05);
}

}  // namespace
}  // namespace baton::coordinator
