// Which GPU a rank takes, for every way in which launchers show GPUs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"
#include "baton/device/device.hpp"

namespace baton::device {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(GpuChoice, AllGpusShownArePickedByLocalRank) {
  for (int rank = 0; rank < 4; ++rank) {
    const GpuChoice choice = choose_gpu({8, rank, 4, "0,1,2,3,4,5,6,7"});
    EXPECT_EQ(choice.index, rank);
    EXPECT_THAT(choice.how, HasSubstr("CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7"));
    EXPECT_THAT(choice.advice, IsEmpty());
  }
  EXPECT_EQ(choose_gpu({8, 7, 8, ""}).index, 7);
}

TEST(GpuChoice, OneGpuShownToEachTaskIsTakenWithAdvice) {
  for (int rank = 0; rank < 4; ++rank) {
    const GpuChoice choice = choose_gpu({1, rank, 4, "0"});
    EXPECT_EQ(choice.index, 0);
    EXPECT_THAT(choice.advice, HasSubstr("3 neighbours"));
    EXPECT_THAT(choice.advice, HasSubstr("--gpu-bind=none"));
  }
}

TEST(GpuChoice, OneRankWithOneGpuNeedsNoAdvice) {
  const GpuChoice choice = choose_gpu({1, 0, 1, ""});
  EXPECT_EQ(choice.index, 0);
  EXPECT_EQ(choice.how, "the only one visible");
  EXPECT_THAT(choice.advice, IsEmpty());
}

TEST(GpuChoice, FewerGpusThanRanksWrapAround) {
  for (int rank = 0; rank < 4; ++rank) {
    const GpuChoice choice = choose_gpu({2, rank, 4, ""});
    EXPECT_EQ(choice.index, rank % 2);
    EXPECT_THAT(choice.advice, HasSubstr("2 GPUs are visible and 4 ranks"));
  }
}

TEST(GpuChoice, AnUnknownNumberOfNeighboursIsNoReasonForAdvice) {
  EXPECT_EQ(choose_gpu({2, 3, 0, ""}).index, 1);
  EXPECT_THAT(choose_gpu({2, 3, 0, ""}).advice, IsEmpty());
}

TEST(GpuChoice, NoGpuIsTheCpu) {
  EXPECT_EQ(choose_gpu({0, 1, 2, ""}).index, -1);
  EXPECT_THROW(choose_gpu({1, -1, 2, ""}), base::Error);
  if (num_gpus() == 0) {
    EXPECT_EQ(choose_device(3, 4).kind, DeviceKind::kCpu);
    EXPECT_THAT(choose_device(3, 4).description, HasSubstr(gpu_absence_reason()));
  }
}

}  // namespace
}  // namespace baton::device
