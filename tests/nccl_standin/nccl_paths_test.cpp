// The NCCL backend over the stand-ins: what it computes, how it ends, and above all what it does
// when NCCL fails. No case may hang: each has a watchdog, and the error's own time limit is
// measured.

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "standin.hpp"
#include "support/thread_communicator.hpp"
#include "support/watchdog.hpp"

namespace baton {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

constexpr const char* kSettings[] = {
    "STANDIN_GPUS",      "STANDIN_FIRST_GPU",      "STANDIN_CUDA_FAILS",    "STANDIN_NCCL_VERSION",
    "STANDIN_NCCL_INIT", "STANDIN_NCCL_OPERATION", "STANDIN_NCCL_FINALIZE", "STANDIN_NCCL_RANK"};
constexpr double kSoon =
    5;  // seconds within which an error without a time limit must come, on a busy machine

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class NcclPaths : public ::testing::Test {
 protected:
  NcclPaths() : limits_{60, 60}, watchdog_("a case of NcclPaths", 0, std::chrono::seconds(90)) {
    std::string name = (std::filesystem::temp_directory_path() / "standinXXXXXX").string();
    folder_ = mkdtemp(name.data());
    setenv("STANDIN_LOG", (folder_ / "log").c_str(), 1);
    clear();
  }
  ~NcclPaths() override {
    clear();
    std::filesystem::remove_all(folder_);
  }

  static void clear() {
    for (const char* name : kSettings) {
      unsetenv(name);
    }
  }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

  /// Seconds that the groups made from here on give an operation, and the first one (and forming
  /// the group).
  void limit(double seconds, double first_seconds) { limits_ = {seconds, first_seconds}; }

  /// A group over `host`, which outlives it; the rank's GPU is its number.
  std::unique_ptr<comm::Communicator> make_group(std::unique_ptr<comm::Communicator> host) const {
    comm::NcclOptions options;
    options.device_index = host->rank();
    options.timeout_seconds = limits_.first;
    options.first_timeout_seconds = limits_.second;
    return comm::make_nccl_communicator(std::move(host), options);
  }
  std::unique_ptr<comm::Communicator> make_group() const {
    return make_group(comm::make_single_communicator());
  }

  /// Runs `work` on every rank of a group over NCCL; gives each rank's error.
  std::vector<std::optional<base::Error>> run_group(
      int size, const std::function<void(comm::Communicator&)>& work) const {
    const auto meeting = std::make_shared<testing::ThreadMeeting>(size);
    std::vector<std::optional<base::Error>> errors(static_cast<std::size_t>(size));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          const auto group =
              make_group(std::make_unique<testing::ThreadCommunicator>(meeting, rank));
          work(*group);
        } catch (const base::Error& error) {
          errors[static_cast<std::size_t>(rank)] = error;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    return errors;
  }

  static comm::FloatBuffer gpu(std::vector<float>& values) {
    return {values.data(), values.size(), true};
  }

  std::vector<std::string> log() const {
    std::vector<std::string> lines;
    std::ifstream stream(folder_ / "log");
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(line);
    }
    return lines;
  }

  /// What must hold of every log in which something failed: aborted and never destroyed, before the
  /// stream went.
  void expect_aborted(int rank = 0) const {
    const std::string name = "r" + std::to_string(rank);
    EXPECT_THAT(log(), Contains(name + " ncclCommAbort").Times(1));
    EXPECT_THAT(log(), Not(Contains(name + " ncclCommDestroy")));
  }
  void expect_streams_last() const {
    EXPECT_THAT(log(), Contains("cudaStreamDestroy"));
    EXPECT_THAT(log(), Not(Contains(StartsWith("MISUSE"))));
  }

  /// The error of `work`, which must come within the limit.
  template <typename Work>
  static base::Error error_of(Work work, double limit_seconds) {
    const Clock::time_point start = Clock::now();
    try {
      work();
    } catch (const base::Error& error) {
      EXPECT_LT(seconds_since(start), limit_seconds);
      return error;
    }
    ADD_FAILURE() << "no error";
    return {base::ErrorKind::kInternal, "none"};
  }

  std::filesystem::path folder_;

 private:
  std::pair<double, double> limits_;
  testing::Watchdog watchdog_;
};

TEST_F(NcclPaths, AGroupOfOneEndsInOrder) {
  {
    const auto group = make_group();
    EXPECT_STREQ(group->backend(), "nccl");
    std::vector<float> values{1, 2, 3};
    group->all_reduce_sum(gpu(values));
    group->broadcast(gpu(values), 0);
    std::vector<float> received(3, -1);
    group->all_gather(gpu(values), gpu(received));
    EXPECT_EQ(received, (std::vector<float>{1, 2, 3}));
    group->close();
    EXPECT_THROW(group->barrier(), base::Error);
    const base::Error error = error_of([&] { group->all_reduce_sum(gpu(values)); }, kSoon);
    EXPECT_THAT(error.what(), HasSubstr("closed"));
  }
  const std::vector<std::string> lines = log();
  const auto at = [&](const std::string& line) {
    return std::find(lines.begin(), lines.end(), line) - lines.begin();
  };
  EXPECT_THAT(lines, Contains("r0 ncclCommInitRankConfig size=1 blocking=0"));
  EXPECT_LT(at("r0 ncclCommFinalize"), at("r0 ncclCommDestroy"));
  EXPECT_LT(at("r0 ncclCommDestroy"), at("cudaStreamDestroy"));
  EXPECT_THAT(lines, Not(Contains("r0 ncclCommAbort")));
  EXPECT_THAT(lines, Not(Contains(StartsWith("cudaStreamSynchronize"))));
  expect_streams_last();
}

TEST_F(NcclPaths, RanksReduceBroadcastAndGather) {
  for (const int size : {2, 3, 4}) {
    const auto errors = run_group(size, [&](comm::Communicator& group) {
      const auto mine = static_cast<float>(group.rank() + 1);
      std::vector<float> values{mine, 10 * mine};
      group.all_reduce_sum(gpu(values));
      const auto sum = static_cast<float>(size * (size + 1) / 2);
      EXPECT_EQ(values, (std::vector<float>{sum, 10 * sum}));
      std::vector<float> root{mine};
      group.broadcast(gpu(root), size - 1);
      EXPECT_EQ(root, std::vector<float>{static_cast<float>(size)});
      std::vector<float> all(static_cast<std::size_t>(size));
      std::vector<float> one{mine};
      group.all_gather(gpu(one), gpu(all));
      std::vector<float> expected(all.size());
      std::iota(expected.begin(), expected.end(), 1.0F);
      EXPECT_EQ(all, expected);
      std::vector<float> on_host{mine};
      group.all_reduce_sum({on_host.data(), 1, false});
      EXPECT_EQ(on_host[0], sum);
      group.close();
    });
    for (const auto& error : errors) {
      EXPECT_FALSE(error) << error->what();
    }
  }
  EXPECT_THAT(log(), Not(Contains(HasSubstr("ncclCommAbort"))));
  expect_streams_last();
}

TEST_F(NcclPaths, InitRefused) {
  set("STANDIN_NCCL_INIT", "refuse");
  const base::Error error = error_of([&] { make_group(); }, kSoon);
  EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
  EXPECT_THAT(error.what(), HasSubstr("ncclCommInitRankConfig"));
  EXPECT_THAT(error.what(), HasSubstr("invalid usage"));
  EXPECT_THAT(log(), Not(Contains("r0 ncclCommDestroy")));
  expect_streams_last();
}

TEST_F(NcclPaths, InitRefusedOnOneRankLeavesNobodyWaiting) {
  limit(0.5, 1);
  set("STANDIN_NCCL_INIT", "refuse");
  set("STANDIN_NCCL_RANK", "1");
  const Clock::time_point start = Clock::now();
  const auto errors = run_group(2, [](comm::Communicator&) { FAIL() << "formed"; });
  EXPECT_LT(seconds_since(start), 1 + kSoon);
  ASSERT_TRUE(errors[0] && errors[1]);
  EXPECT_EQ(errors[0]->kind(), base::ErrorKind::kHang);  // its peer never came
  EXPECT_EQ(errors[1]->kind(), base::ErrorKind::kCommunication);
  expect_aborted(0);
  expect_streams_last();
}

TEST_F(NcclPaths, AnAsynchronousErrorOfInit) {
  set("STANDIN_NCCL_INIT", "error");
  const base::Error error = error_of([&] { make_group(); }, kSoon);
  EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
  EXPECT_THAT(error.what(), HasSubstr("bootstrap refused by the stand-in"));
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, InitThatNeverEnds) {
  limit(0.5, 1);
  set("STANDIN_NCCL_INIT", "never");
  const base::Error error = error_of([&] { make_group(); }, 1 + kSoon);
  EXPECT_EQ(error.kind(), base::ErrorKind::kHang);
  EXPECT_THAT(error.what(), HasSubstr("ncclCommInitRankConfig"));
  EXPECT_THAT(error.what(), HasSubstr("timeout_seconds"));
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, WithoutALimitALatePeerIsWaitedFor) {
  limit(0, 0);  // as in a run, where the watchdog alone judges
  const auto errors = run_group(2, [](comm::Communicator& group) {
    if (group.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
    std::vector<float> values{static_cast<float>(group.rank() + 1)};
    group.all_reduce_sum(gpu(values));
    EXPECT_EQ(values[0], 3);
    group.close();
  });
  for (const auto& error : errors) {
    EXPECT_FALSE(error) << error->what();
  }
}

TEST_F(NcclPaths, AnotherVersionIsRefusedWithBothNumbers) {
  set("STANDIN_NCCL_VERSION", "21903");
  const base::Error error = error_of([&] { make_group(); }, kSoon);
  EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
  EXPECT_THAT(error.what(), HasSubstr("NCCL 2.19.3"));
  EXPECT_THAT(error.what(),
              HasSubstr("NCCL " + std::to_string(NCCL_MAJOR) + "." + std::to_string(NCCL_MINOR) +
                        "." + std::to_string(NCCL_PATCH)));
  EXPECT_THAT(log(), Not(Contains(StartsWith("r0 ncclCommInit"))));
}

TEST_F(NcclPaths, ARankWithoutAStreamTellsTheOthersBeforeNcclStarts) {
  set("STANDIN_CUDA_FAILS", "cudaStreamCreateWithFlags");
  const auto errors = run_group(2, [](comm::Communicator&) { FAIL() << "formed"; });
  ASSERT_TRUE(errors[0] && errors[1]);
  EXPECT_THAT(errors[0]->what(), HasSubstr("unknown error of the stand-in"));
  EXPECT_THAT(log(), Not(Contains(HasSubstr("ncclCommInit"))));
}

TEST_F(NcclPaths, AnOperationThatIsRefused) {
  set("STANDIN_NCCL_OPERATION", "refuse:2");
  {
    const auto group = make_group();
    std::vector<float> values{1};
    group->all_reduce_sum(gpu(values));
    const base::Error error = error_of([&] { group->all_reduce_sum(gpu(values)); }, kSoon);
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("operation refused by the stand-in"));
    // What comes next fails too, and says why.
    EXPECT_THAT(error_of([&] { group->all_reduce_sum(gpu(values)); }, kSoon).what(),
                HasSubstr("aborted: ncclAllReduce"));
    EXPECT_THROW(group->close(), base::Error);
  }
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, AnotherThreadSeesThatTheGroupWaits) {
  limit(1, 60);
  set("STANDIN_NCCL_OPERATION", "never:2");
  const auto group = make_group();
  std::vector<float> values{1};
  group->all_reduce_sum(gpu(values));
  const comm::CommunicatorActivity before = group->activity();
  EXPECT_GT(before.num_collectives, 0);
  EXPECT_FALSE(before.in_collective);
  std::thread watcher([&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(0.2));
    const comm::CommunicatorActivity during = group->activity();
    EXPECT_GT(during.num_collectives, before.num_collectives);
    EXPECT_TRUE(during.in_collective);
  });
  EXPECT_THROW(group->all_reduce_sum(gpu(values)), base::Error);
  watcher.join();
  EXPECT_FALSE(group->activity().in_collective);
}

TEST_F(NcclPaths, AnAsynchronousErrorOfTheThirdOperation) {
  set("STANDIN_NCCL_OPERATION", "error:3");
  {
    const auto group = make_group();
    std::vector<float> values{1};
    group->all_reduce_sum(gpu(values));
    group->broadcast(gpu(values), 0);
    const base::Error error = error_of([&] { group->all_gather(gpu(values), gpu(values)); }, kSoon);
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("ncclAllGather"));
    EXPECT_THAT(error.what(), HasSubstr("remote process exited"));
    EXPECT_THAT(error.what(), HasSubstr("connection closed by the stand-in"));
  }
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, AnOperationThatNeverEnds) {
  limit(0.5, 60);
  set("STANDIN_NCCL_OPERATION", "never:2");
  {
    const auto group = make_group();
    std::vector<float> values{1};
    group->all_reduce_sum(gpu(values));
    const Clock::time_point start = Clock::now();
    const base::Error error = error_of([&] { group->all_reduce_sum(gpu(values)); }, 0.5 + kSoon);
    EXPECT_GE(seconds_since(start), 0.5);
    EXPECT_EQ(error.kind(), base::ErrorKind::kHang);
    EXPECT_THAT(error.what(), HasSubstr("ncclAllReduce on group rank 0 of 1"));
    EXPECT_THAT(error.what(), HasSubstr("0.5 s"));
  }
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, OneRankThatSkipsACollectiveLeavesNobodyWaiting) {
  limit(0.5, 60);
  const auto errors = run_group(3, [](comm::Communicator& group) {
    std::vector<float> values{1};
    group.all_reduce_sum(gpu(values));
    if (group.rank() != 1) {
      group.all_reduce_sum(gpu(values));
    }
  });
  EXPECT_FALSE(errors[1]);
  for (const std::size_t rank : {0U, 2U}) {
    ASSERT_TRUE(errors[rank]);
    EXPECT_EQ(errors[rank]->kind(), base::ErrorKind::kHang);
    expect_aborted(static_cast<int>(rank));
  }
  expect_aborted(1);  // dropped without close: aborted as well
  expect_streams_last();
}

TEST_F(NcclPaths, AnErrorOnOneRankEndsItsPeersWithinTheLimit) {
  limit(0.5, 60);
  set("STANDIN_NCCL_OPERATION", "error:2");
  set("STANDIN_NCCL_RANK", "1");
  const Clock::time_point start = Clock::now();
  const auto errors = run_group(2, [](comm::Communicator& group) {
    std::vector<float> values{1};
    group.all_reduce_sum(gpu(values));
    group.all_reduce_sum(gpu(values));
  });
  EXPECT_LT(seconds_since(start), 0.5 + kSoon);
  ASSERT_TRUE(errors[0] && errors[1]);
  EXPECT_EQ(errors[0]->kind(), base::ErrorKind::kHang);
  EXPECT_EQ(errors[1]->kind(), base::ErrorKind::kCommunication);
  expect_aborted(0);
  expect_aborted(1);
  expect_streams_last();
}

TEST_F(NcclPaths, AnEndThatNeverComes) {
  limit(0.5, 60);
  set("STANDIN_NCCL_FINALIZE", "never");
  {
    const auto group = make_group();
    const base::Error error = error_of([&] { group->close(); }, 0.5 + kSoon);
    EXPECT_EQ(error.kind(), base::ErrorKind::kHang);
    EXPECT_THAT(error.what(), HasSubstr("ncclCommFinalize"));
  }
  expect_aborted();
  expect_streams_last();
}

TEST_F(NcclPaths, DroppingAndAbortingDoNotWaitForWhatIsUnderWay) {
  set("STANDIN_NCCL_OPERATION", "never:1");
  for (const bool abort_first : {true, false}) {
    const Clock::time_point start = Clock::now();
    const auto group = make_group();
    std::vector<float> values{1};
    group->start_all_reduce_sum(gpu(values));
    if (abort_first) {
      group->abort("a test");
      EXPECT_THAT(error_of([&] { group->wait_for_started(); }, kSoon).what(),
                  HasSubstr("aborted: a test"));
    }
    EXPECT_LT(seconds_since(start), kSoon);
  }
  EXPECT_THAT(log(), Contains("r0 ncclCommAbort").Times(2));
  EXPECT_THAT(log(), Not(Contains("r0 ncclCommDestroy")));
  expect_streams_last();
}

}  // namespace
}  // namespace baton
