// The GPU half of device, and the choice of a backend, with GPUs that are made up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/device/device.hpp"
#include "support/thread_communicator.hpp"
#include "support/watchdog.hpp"

namespace baton {
namespace {

using ::testing::HasSubstr;

class MadeUpGpus : public ::testing::Test {
 protected:
  MadeUpGpus() : watchdog_("a case of MadeUpGpus", 0, std::chrono::seconds(90)) { clear(); }
  ~MadeUpGpus() override { clear(); }
  static void clear() {
    for (const char* name :
         {"STANDIN_GPUS", "STANDIN_FIRST_GPU", "STANDIN_CUDA_FAILS", "STANDIN_LOG"}) {
      unsetenv(name);
    }
  }
  /// The device of a process that is shown `count` GPUs from number `first` on.
  static device::Device device_of(int first, int count, int local_rank, int local_size) {
    setenv("STANDIN_FIRST_GPU", std::to_string(first).c_str(), 1);
    setenv("STANDIN_GPUS", std::to_string(count).c_str(), 1);
    return device::choose_device(local_rank, local_size);
  }

  /// Backend names by rank of a group whose ranks have these devices, or the error that all of them
  /// met.
  static std::vector<std::string> backends(comm::Backend asked,
                                           const std::vector<device::Device>& devices) {
    std::vector<std::string> names(devices.size());
    const auto meeting = std::make_shared<testing::ThreadMeeting>(static_cast<int>(devices.size()));
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < devices.size(); ++rank) {
      threads.emplace_back([&, rank] {
        try {
          comm::CommunicatorRequest request;
          request.backend = asked;
          request.device = devices[rank];
          request.timeout_seconds = 60;
          const auto group = comm::make_communicator(
              std::make_unique<testing::ThreadCommunicator>(meeting, static_cast<int>(rank)),
              request);
          names[rank] = group->backend();
          group->close();
        } catch (const base::Error& error) {
          names[rank] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return names;
  }

 private:
  testing::Watchdog watchdog_;
};

TEST_F(MadeUpGpus, TheSameGpuHasTheSameIdHoweverItIsNumbered) {
  const device::Device all = device_of(0, 4, 2, 4);
  const device::Device alone = device_of(2, 1, 2, 4);
  EXPECT_EQ(all.index, 2);
  EXPECT_EQ(alone.index, 0);
  EXPECT_EQ(all.unique_id, alone.unique_id);
  EXPECT_EQ(all.pci_address, alone.pci_address);
  EXPECT_NE(all.unique_id, device_of(0, 4, 1, 4).unique_id);
  EXPECT_THAT(all.description, HasSubstr("GPU 2 of 4 (local rank 2 of 4 visible"));
  EXPECT_THAT(alone.advice, HasSubstr("3 neighbours"));
}

TEST_F(MadeUpGpus, NoGpuAndASilentGpuAreToldApart) {
  const device::Device none = device_of(0, 0, 0, 1);
  EXPECT_EQ(none.kind, device::DeviceKind::kCpu);
  EXPECT_THAT(none.description, HasSubstr("no CUDA-capable device"));
  // CUDA itself says "driver version is insufficient" where there is no driver at all.
  EXPECT_TRUE(device_of(0, -1, 0, 1).description.ends_with("(no GPU)"))
      << device_of(0, -1, 0, 1).description;
  setenv("STANDIN_CUDA_FAILS", "cudaGetDeviceProperties", 1);
  EXPECT_THROW(device_of(0, 1, 0, 1), base::Error);
}

TEST_F(MadeUpGpus, AutoIsNcclWhereEveryRankHasItsOwnGpu) {
  // Slurm that shows all GPUs to every task, and Slurm that shows one to each.
  const std::vector<device::Device> shown_all{device_of(0, 2, 0, 2), device_of(0, 2, 1, 2)};
  const std::vector<device::Device> shown_one{device_of(0, 1, 0, 2), device_of(1, 1, 1, 2)};
  for (const auto& devices : {shown_all, shown_one}) {
    for (const std::string& name : backends(comm::Backend::kAuto, devices)) {
      EXPECT_EQ(name, "nccl");
    }
    for (const std::string& name : backends(comm::Backend::kMpi, devices)) {
      EXPECT_EQ(name, "thread");
    }
  }
}

TEST_F(MadeUpGpus, TwoRanksOnOneGpuAreRefusedOnBoth) {
  const std::vector<device::Device> devices{device_of(0, 1, 0, 2), device_of(0, 1, 1, 2)};
  for (const comm::Backend backend : {comm::Backend::kAuto, comm::Backend::kNccl}) {
    for (const std::string& text : backends(backend, devices)) {
      EXPECT_THAT(text, HasSubstr("two ranks share one GPU"));
      EXPECT_THAT(text, HasSubstr("srun --gpus-per-task=1"));
    }
  }
}

TEST_F(MadeUpGpus, OneRankWithoutAGpuMeansMpiForAll) {
  const std::vector<device::Device> devices{device_of(0, 1, 0, 2), device::cpu_device()};
  for (const std::string& name : backends(comm::Backend::kAuto, devices)) {
    EXPECT_EQ(name, "thread");
  }
  for (const std::string& text : backends(comm::Backend::kNccl, devices)) {
    EXPECT_THAT(text, HasSubstr("group rank 1: has no GPU"));
  }
}

}  // namespace
}  // namespace baton
