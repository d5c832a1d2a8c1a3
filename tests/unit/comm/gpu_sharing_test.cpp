// Ranks on one GPU are found by what the GPU is, not by its number in the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/comm/make_communicator.hpp"
#include "support/thread_communicator.hpp"

namespace baton::comm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(GpuSharing, EveryTaskSeesItsOwnGpuAsNumberZero) {
  EXPECT_FALSE(shared_gpu_error({{"a", "GPU-1", "GPU 0 at 0000:3B:00.0", 1},
                                 {"a", "GPU-2", "GPU 0 at 0000:5E:00.0", 1},
                                 {"b", "GPU-3", "GPU 0 at 0000:3B:00.0", 1}}));
}

TEST(GpuSharing, RanksOnTheCpuShareNothing) {
  EXPECT_FALSE(shared_gpu_error({{"a", "", "", 0}, {"a", "", "", 0}, {"a", "GPU-1", "GPU 0", 1}}));
}

TEST(GpuSharing, MoreRanksThanGpusNamesTheNumberToStart) {
  const auto error = shared_gpu_error({{"a", "GPU-1", "GPU 0 at 0000:3B:00.0", 2},
                                       {"a", "GPU-2", "GPU 1 at 0000:5E:00.0", 2},
                                       {"a", "GPU-1", "GPU 0 at 0000:3B:00.0", 2}});
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), base::ErrorKind::kUsage);
  EXPECT_EQ(error->details().where, "ranks 0 and 2 on a");
  EXPECT_THAT(error->what(), HasSubstr("GPU 0 at 0000:3B:00.0"));
  EXPECT_THAT(error->what(), HasSubstr("3 ranks there"));
  EXPECT_THAT(error->details().fix, HasSubstr("at most 2 ranks on a"));
  EXPECT_THAT(error->details().fix, HasSubstr("--ntasks-per-node=2"));
}

TEST(GpuSharing, EveryRankShownTheSameOneGpu) {
  const auto error = shared_gpu_error(
      {{"a", "GPU-1", "GPU 0 at 0000:3B:00.0", 1}, {"a", "GPU-1", "GPU 0 at 0000:3B:00.0", 1}});
  ASSERT_TRUE(error);
  EXPECT_THAT(error->details().fix, HasSubstr("CUDA_VISIBLE_DEVICES"));
  EXPECT_THAT(error->details().fix, HasSubstr("--gpus-per-task=1"));
}

device::Device gpu(const std::string& id) {
  device::Device device;
  device.kind = device::DeviceKind::kCuda;
  device.unique_id = id;
  device.pci_address = "0000:3B:00.0";
  device.num_visible = 4;
  return device;
}

TEST(GpuSharing, IsFoundTogetherOnEveryRank) {
  testing::run_ranks(3, [](Communicator& ranks) {
    EXPECT_NO_THROW(check_one_rank_per_gpu(ranks, gpu("GPU-" + std::to_string(ranks.rank()))));
    EXPECT_NO_THROW(check_one_rank_per_gpu(ranks, device::cpu_device()));
    try {
      check_one_rank_per_gpu(ranks, gpu(ranks.rank() == 0 ? "GPU-0" : "GPU-1"));
      ADD_FAILURE() << "accepted";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("ranks 1 and 2"));
      EXPECT_THAT(error.what(), HasSubstr("at most 4 ranks"));
    }
  });
}

TEST(Promise, SaysWhatIsAndIsNotPromised) {
  EXPECT_THAT(promise_of("nccl", false), HasSubstr("not across group sizes"));
  EXPECT_THAT(promise_of("mpi", false), HasSubstr("not across group sizes"));
  EXPECT_THAT(promise_of("mpi", true), HasSubstr("for every group size"));
  EXPECT_THAT(promise_of("mpi", true), Not(HasSubstr("NCCL")));
  EXPECT_THAT(promise_of("nccl", true), HasSubstr("NCCL takes no part"));
}

}  // namespace
}  // namespace baton::comm
