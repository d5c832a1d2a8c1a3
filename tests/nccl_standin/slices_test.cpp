// Sums that start while the "GPU" still computes: order by events alone, the same bits as one sum,
// and every kind of failure found where the host first waits.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "support/thread_communicator.hpp"
#include "support/watchdog.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// A compute stream that the test owns, with "kernels" that take a while.
class ComputeStream {
 public:
  ComputeStream() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  ~ComputeStream() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  ComputeStream(const ComputeStream&) = delete;
  ComputeStream& operator=(const ComputeStream&) = delete;

  cudaStream_t get() const { return stream_; }

  /// `work` runs on the stream after `time`; the call returns at once.
  void queue(std::chrono::milliseconds time, std::function<void()> work) {
    kernels_.push_back(std::make_unique<Kernel>(Kernel{time, std::move(work)}));
    cudaLaunchHostFunc(
        stream_,
        [](void* argument) {
          const auto* kernel = static_cast<const Kernel*>(argument);
          std::this_thread::sleep_for(kernel->time);
          kernel->work();
        },
        kernels_.back().get());
  }

 private:
  struct Kernel {
    std::chrono::milliseconds time;
    std::function<void()> work;
  };
  cudaStream_t stream_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

class Slices : public ::testing::Test {
 protected:
  Slices() : watchdog_("a case of Slices", 0, 90s) { clear(); }
  ~Slices() override { clear(); }
  static void clear() {
    unsetenv("STANDIN_NCCL_OPERATION");
    unsetenv("STANDIN_NCCL_RANK");
    unsetenv("STANDIN_LOG");
  }

  static std::unique_ptr<comm::Communicator> make_group(std::unique_ptr<comm::Communicator> host,
                                                        const ComputeStream& compute,
                                                        double limit_seconds = 60) {
    comm::NcclOptions options;
    options.device_index = host->rank();
    options.timeout_seconds = limit_seconds;
    options.first_timeout_seconds = 60;
    options.compute_stream = compute.get();
    return comm::make_nccl_communicator(std::move(host), options);
  }

  static void run_group(int size,
                        const std::function<void(comm::Communicator&, ComputeStream&)>& work,
                        double limit_seconds = 60) {
    const auto meeting = std::make_shared<testing::ThreadMeeting>(size);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        ComputeStream compute;
        const auto group = make_group(std::make_unique<testing::ThreadCommunicator>(meeting, rank),
                                      compute, limit_seconds);
        work(*group, compute);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

 private:
  testing::Watchdog watchdog_;
};

comm::FloatBuffer part(std::vector<float>& values, std::size_t begin, std::size_t count) {
  return {values.data() + begin, count, true};
}

// Each slice is filled by a slow "kernel" before its sum starts and doubled by one after
// finish_started(): a missing event in either direction gives other numbers.
TEST_F(Slices, StartAfterWhatFillsThemAndEndBeforeWhatReadsThem) {
  run_group(3, [](comm::Communicator& group, ComputeStream& compute) {
    const auto rank = static_cast<float>(group.rank());
    for (int round = 0; round < 3; ++round) {
      std::vector<float> gradient(6, -1000);
      for (const std::size_t begin : {4U, 2U, 0U}) {
        compute.queue(std::chrono::milliseconds(5 * group.rank() + 5), [&gradient, begin, rank] {
          gradient[begin] = static_cast<float>(begin) + rank;
          gradient[begin + 1] = 100 * rank;
        });
        group.start_all_reduce_sum(part(gradient, begin, 2));
      }
      group.finish_started();
      compute.queue(0ms, [&gradient] {
        for (float& value : gradient) {
          value *= 2;
        }
      });
      group.wait_for_started();
      cudaStreamSynchronize(compute.get());
      EXPECT_EQ(gradient, (std::vector<float>{6, 600, 18, 600, 30, 600}));
    }
    group.close();
  });
}

TEST_F(Slices, StartingAndFinishingDoNotWaitOnTheHost) {
  ComputeStream compute;
  const auto group = make_group(comm::make_single_communicator(), compute);
  std::vector<float> gradient(8, 1);
  std::atomic<bool> may_go{false};
  compute.queue(0ms, [&] {
    while (!may_go) {
      std::this_thread::sleep_for(1ms);
    }
  });
  group->start_all_reduce_sum(part(gradient, 4, 4));
  group->start_all_reduce_sum(part(gradient, 0, 4));
  group->finish_started();
  EXPECT_EQ(cudaStreamQuery(compute.get()),
            cudaErrorNotReady);  // all of it came back, nothing was done yet
  may_go = true;
  group->wait_for_started();
  cudaStreamSynchronize(compute.get());
  group->wait_for_started();  // nothing is under way: nothing to wait for
  group->close();
}

TEST_F(Slices, WaitingAloneMakesThemVisibleToo) {
  run_group(2, [](comm::Communicator& group, ComputeStream&) {
    std::vector<float> gradient{1, 2};
    group.start_all_reduce_sum(part(gradient, 0, 2));
    group.wait_for_started();
    EXPECT_EQ(gradient, (std::vector<float>{2, 4}));
    group.close();
  });
}

TEST_F(Slices, HostBuffersGoThroughTheHostGroup) {
  run_group(2, [](comm::Communicator& group, ComputeStream&) {
    std::vector<float> values{1, 2};
    group.start_all_reduce_sum({values.data(), 2, false});
    group.finish_started();
    group.wait_for_started();
    EXPECT_EQ(values, (std::vector<float>{2, 4}));
    group.close();
  });
}

TEST_F(Slices, ASliceThatNeverEndsIsFoundWhereTheHostWaits) {
  setenv("STANDIN_NCCL_OPERATION", "never:4", 1);
  setenv("STANDIN_NCCL_RANK", "1", 1);
  run_group(
      2,
      [](comm::Communicator& group, ComputeStream& compute) {
        std::vector<float> gradient(4, 1);
        group.all_reduce_sum(part(gradient, 0, 4));
        for (const std::size_t begin : {2U, 1U, 0U}) {
          group.start_all_reduce_sum(part(gradient, begin, 1));
        }
        group.finish_started();
        const Clock::time_point start = Clock::now();
        try {
          group.wait_for_started();
          ADD_FAILURE() << "no error on rank " << group.rank();
        } catch (const base::Error& error) {
          EXPECT_EQ(error.kind(), base::ErrorKind::kHang);
          EXPECT_THAT(error.what(), HasSubstr("ncclAllReduce"));
          EXPECT_LT(Clock::now() - start, 6s);
        }
        cudaStreamSynchronize(
            compute.get());  // the abort freed the compute stream: this comes back
        EXPECT_THROW(group.start_all_reduce_sum(part(gradient, 0, 1)), base::Error);
      },
      1);
}

TEST_F(Slices, AnErrorInTheMiddleOfASliceAborts) {
  setenv("STANDIN_NCCL_OPERATION", "error:2", 1);
  ComputeStream compute;
  const auto group = make_group(comm::make_single_communicator(), compute);
  std::vector<float> gradient(4, 1);
  try {
    group->start_all_reduce_sum(part(gradient, 2, 2));
    group->start_all_reduce_sum(part(gradient, 0, 2));
    group->finish_started();
    group->wait_for_started();
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("connection closed by the stand-in"));
  }
  EXPECT_THROW(group->wait_for_started(), base::Error);
}

}  // namespace
}  // namespace baton
