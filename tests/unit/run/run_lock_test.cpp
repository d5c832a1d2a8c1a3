#include "baton/run/run_lock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <optional>
#include <thread>

#include "baton/base/json.hpp"
#include "baton/device/host.hpp"
#include "baton/run/run_status.hpp"
#include "unit/checkpoint/checkpoint_fixture.hpp"

namespace baton::run {
namespace {

using namespace checkpoint;  // the fixture and its small files

using ::testing::HasSubstr;

class RunLockTest : public CheckpointTest, public ::testing::WithParamInterface<LockMode> {
 protected:
  std::filesystem::path lock_file() const { return folder_ / "run.lock"; }
};

INSTANTIATE_TEST_SUITE_P(Modes,
                         RunLockTest,
                         ::testing::Values(LockMode::kFlock, LockMode::kFileOnly));

TEST_P(RunLockTest, SecondHolderIsRefusedUntilTheFirstIsGone) {
  std::optional<RunLock> first(std::in_place, folder_, GetParam());
  const base::Error error = error_of([&] { RunLock second(folder_, GetParam()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
  EXPECT_THAT(error.details().found, HasSubstr(std::to_string(::getpid())));
  EXPECT_THAT(error.details().found, HasSubstr(device::host_name()));
  EXPECT_THAT(error.details().found, HasSubstr("since 20"));
  EXPECT_THAT(error.details().fix, HasSubstr("delete " + lock_file().string()));
  EXPECT_TRUE(std::filesystem::exists(lock_file())) << "a refused attempt leaves the lock alone";
  RunLock moved(std::move(*first));
  first.reset();
  EXPECT_THROW(RunLock(folder_, GetParam()), base::Error);
  { RunLock taken(std::move(moved)); }
  EXPECT_FALSE(std::filesystem::exists(lock_file()));
  RunLock third(folder_, GetParam());
}

TEST_P(RunLockTest, LockOfAKilledProcessIsTakenOver) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    RunLock lock(folder_, GetParam());
    const ssize_t written = ::write(ready[1], "x", 1);
    std::this_thread::sleep_for(std::chrono::seconds(written == 1 ? 60 : 0));
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_THAT(error_of([&] { RunLock lock(folder_, GetParam()); }).details().found,
              HasSubstr("process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(std::filesystem::exists(lock_file()));
  RunLock lock(folder_, GetParam());
  EXPECT_THAT(read_all(lock_file()), HasSubstr("\"pid\":" + std::to_string(::getpid())));
}

TEST_P(RunLockTest, LockOfAnotherHostIsRefused) {
  write_all(
      lock_file(),
      R"({"host":"elsewhere","pid":1,"process_start":5,"job":"","since":"2026-01-01T00:00:00Z"})");
  const base::Error error = error_of([&] { RunLock lock(folder_, GetParam()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
  EXPECT_THAT(error.details().found,
              HasSubstr("process 1 on host elsewhere, since 2026-01-01T00:00:00Z"));
  EXPECT_TRUE(std::filesystem::exists(lock_file()));
}

TEST(JudgeLeftover, Cases) {
  const LockHolder self{"here", ::getpid(), device::process_start(::getpid()), "17", "now"};
  const auto verdict = [&](LockHolder holder, bool unlocked) {
    return judge_leftover(holder, self, unlocked);
  };
  // This machine: a living process is respected unless flock proves that it does not hold the lock.
  EXPECT_EQ(verdict({"here", self.pid, self.process_start, "", ""}, false), LockVerdict::kRefuse);
  EXPECT_EQ(verdict({"here", self.pid, self.process_start, "", ""}, true), LockVerdict::kTakeOver);
  EXPECT_EQ(verdict({"here", self.pid, self.process_start + 1, "", ""}, false),
            LockVerdict::kTakeOver);
  EXPECT_EQ(verdict({"here", 999'999'999, 5, "", ""}, false), LockVerdict::kTakeOver);
  // Another machine: only an earlier start of the same job is known to be over.
  EXPECT_EQ(verdict({"there", 1, 5, "", ""}, true), LockVerdict::kRefuse);
  EXPECT_EQ(verdict({"there", 1, 5, "16", ""}, true), LockVerdict::kRefuse);
  EXPECT_EQ(verdict({"there", 1, 5, "17", ""}, false), LockVerdict::kTakeOver);
  // Cut short.
  EXPECT_EQ(verdict({}, true), LockVerdict::kTakeOver);
  EXPECT_EQ(verdict({}, false), LockVerdict::kRefuse);
}

class RunStatusTest : public CheckpointTest {};

TEST_F(RunStatusTest, FirstFailureOfAnAttemptWins) {
  EXPECT_FALSE(read_status(folder_).has_value());
  const RunStatus running = status_here("train", 0);
  begin_status(folder_, running);
  EXPECT_EQ(read_status(folder_)->state, "running");
  EXPECT_EQ(read_status(folder_)->pid, ::getpid());
  EXPECT_TRUE(write_status(folder_, running));
  const base::Error first(base::ErrorKind::kNonFinite, "loss is \xff nan");
  const base::Error echo(base::ErrorKind::kCommunication, "a rank is lost");
  EXPECT_TRUE(write_failure_once(folder_, failure_of(status_here("train", 3), first)));
  EXPECT_FALSE(write_failure_once(folder_, failure_of(running, echo)));
  EXPECT_FALSE(write_status(folder_, running));
  const RunStatus found = *read_status(folder_);
  EXPECT_EQ(found.state, "failed");
  EXPECT_EQ(found.kind, "non-finite");
  EXPECT_EQ(found.exit_code, 7);
  EXPECT_EQ(found.rank, 3);
  EXPECT_THAT(found.error, HasSubstr("nan"));
  const base::Json json = base::read_json_file(folder_ / "status.json", base::ErrorKind::kModel);
  EXPECT_EQ(json["state"], "failed");
  EXPECT_EQ(json["format"], 1);
  begin_status(folder_, running);
  EXPECT_EQ(read_status(folder_)->state, "running");
  RunStatus done = running;
  done.state = "done";
  EXPECT_TRUE(write_status(folder_, done));
  EXPECT_EQ(read_status(folder_)->state, "done");
  EXPECT_EQ(failure_of(running, base::Error(base::ErrorKind::kStopped, "asked")).state, "stopped");
}

TEST_F(RunStatusTest, OfManyAtOnceExactlyOneWins) {
  begin_status(folder_, status_here("train", 0));
  constexpr int kNumProcesses = 8;
  std::vector<pid_t> children;
  for (int i = 0; i < kNumProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const base::Error error(base::ErrorKind::kData, "rank " + std::to_string(i));
      ::_exit(write_failure_once(folder_, failure_of(status_here("train", i), error)) ? 1 : 0);
    }
    children.push_back(child);
  }
  int winner = -1;
  int num_winners = 0;
  for (int i = 0; i < kNumProcesses; ++i) {
    int status = 0;
    ::waitpid(children[static_cast<std::size_t>(i)], &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) {
      winner = i;
      ++num_winners;
    }
  }
  EXPECT_EQ(num_winners, 1);
  EXPECT_EQ(read_status(folder_)->rank, winner);
  const base::Json json = base::read_json_file(folder_ / "status.json", base::ErrorKind::kModel);
  EXPECT_EQ(json["rank"], winner);
}

TEST_F(RunStatusTest, UnwritableFolderDoesNotThrow) {
  const base::Error error(base::ErrorKind::kStorage, "full");
  EXPECT_FALSE(write_failure_once(folder_ / "none", failure_of(status_here("train", 0), error)));
}

TEST_F(RunStatusTest, DamagedStatusIsRefused) {
  write_all(folder_ / "status.json", "{\"state\": 3}");
  EXPECT_EQ(error_of([&] { read_status(folder_); }).kind(), base::ErrorKind::kModel);
}

}  // namespace
}  // namespace baton::run
