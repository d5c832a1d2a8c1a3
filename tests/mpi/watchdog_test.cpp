// Hangs have a name: real processes, one of which is stopped, loops, or leaves out a collective.
// What is asked each time: who is named in the run folder, how soon, and that nobody is left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "baton/run/run_status.hpp"

namespace {

using baton::run::RunStatus;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kTimeout = 2;
constexpr double kSecondsOfSteps = 1.5;  // from the pids to the bad step
// Steps before the bad one, the start of the processes on a busy machine, and their end.
constexpr double kSecondsAround = 6;

// Of a stopped rank the last report is what is known: it may be from any part of a step.
constexpr const char* kAnySection = "section \"";

std::string section(const std::string& name) {
  return "section \"" + name + "\"";
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Outcome {
  int exit_code = -1;
  std::string text;
  double seconds = 0;
};

class WatchdogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = std::filesystem::temp_directory_path() /
           ("watchdog_test_" + std::to_string(getpid()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(run_);
    std::filesystem::create_directories(run_);
  }
  void TearDown() override {
    if (!HasFailure()) {
      std::filesystem::remove_all(run_);
    }
  }

  std::string command(int num_ranks,
                      const std::string& mode,
                      int bad_rank,
                      double timeout,
                      const std::string& where = "") const {
    const std::string mpirun = BATON_MPIRUN + where;
    return "env -u OMPI_COMM_WORLD_SIZE -u PMIX_RANK -u PMI_RANK -u PMI_SIZE -u SLURM_STEP_ID "
           "timeout -k 2 60 " +
           mpirun + " -n " + std::to_string(num_ranks) + " " BATON_WATCHDOG_PROBE " " + mode + " " +
           run_.string() + " " + std::to_string(bad_rank) + " " + std::to_string(timeout) + " 2>&1";
  }

  static Outcome finish(FILE* pipe, double start) {
    Outcome outcome;
    std::array<char, 4096> block{};
    for (std::size_t n = 0; (n = fread(block.data(), 1, block.size(), pipe)) > 0;) {
      outcome.text.append(block.data(), n);
    }
    const int status = pclose(pipe);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.seconds = now_seconds() - start;
    return outcome;
  }

  Outcome run(int num_ranks, const std::string& mode, int bad_rank) const {
    const double start = now_seconds();
    return finish(popen(command(num_ranks, mode, bad_rank, kTimeout).c_str(), "r"), start);
  }

  /// How long before the failure was written the bad rank last did anything; and who is still here.
  double seconds_until_named() const {
    const auto pid_written = std::filesystem::last_write_time(run_ / "pid.0");
    double last = 0;
    for (const auto& entry : std::filesystem::directory_iterator(run_)) {
      const std::chrono::duration<double> since =
          std::filesystem::last_write_time(entry.path()) - pid_written;
      last = std::max(last, since.count());
    }
    return last;
  }

  bool someone_is_left() const {
    const std::string search = "pgrep -f 'watchdog_[p]robe .*" + run_.filename().string() + "'";
    for (int i = 0; i < 30; ++i) {  // the launcher's last processes may take a moment
      if (std::system((search + " > /dev/null").c_str()) != 0) {
        return false;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return true;
  }

  void expect_named(const Outcome& outcome, int rank, const std::string& where) {
    EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
    const auto status = baton::run::read_status(run_);
    ASSERT_TRUE(status) << outcome.text;
    EXPECT_EQ(status->state, "failed");
    EXPECT_EQ(status->kind, "hang");
    EXPECT_EQ(status->exit_code, 8);
    EXPECT_EQ(status->command, "train");
    EXPECT_EQ(status->rank, rank) << status->error;
    EXPECT_EQ(status->pid, pid_of(rank)) << status->error;
    EXPECT_FALSE(status->host.empty());
    const std::string name = "rank " + std::to_string(rank) + " (host " + status->host;
    for (const std::string& part : {name, std::string("01-qa"), where}) {
      EXPECT_THAT(status->error, HasSubstr(part));
      EXPECT_THAT(outcome.text, HasSubstr(part));
    }
    // 11 steps of 50 ms and more after the pids were written, then the limit.
    EXPECT_GT(seconds_until_named(), kTimeout);
    EXPECT_LT(seconds_until_named(), kSecondsOfSteps + kTimeout + 5) << outcome.text;
    EXPECT_LT(outcome.seconds, kTimeout + 5 + kSecondsAround) << outcome.text;
    EXPECT_FALSE(someone_is_left());
  }

  int pid_of(int rank) const {
    int pid = -1;
    std::ifstream(run_ / ("pid." + std::to_string(rank))) >> pid;
    return pid;
  }

  std::filesystem::path run_;
};

TEST_F(WatchdogTest, WhoMovesIsLeftAlone) {
  const Outcome outcome = run(3, "none", 0);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text, "done\ndone\ndone\n");
  EXPECT_EQ(baton::run::read_status(run_)->state, "running");
}

TEST_F(WatchdogTest, WaitingForWorkIsNoHang) {
  const Outcome outcome = run(2, "wait", 1);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_GT(outcome.seconds, 2 * kTimeout);
}

TEST_F(WatchdogTest, AStoppedRankIsNamed) {
  expect_named(run(2, "stop", 1), 1, kAnySection);
}

TEST_F(WatchdogTest, AStoppedRankOfFourIsNamed) {
  expect_named(run(4, "stop", 2), 2, kAnySection);
}

TEST_F(WatchdogTest, AStoppedRankZeroIsNamedByTheOthers) {
  const Outcome outcome = run(3, "stop", 0);
  expect_named(outcome, 0, kAnySection);
}

TEST_F(WatchdogTest, ALoopWithoutEndIsNamed) {
  expect_named(run(3, "loop", 2), 2, section("train"));
}

TEST_F(WatchdogTest, ALoopWithoutEndInRankZeroIsNamed) {
  expect_named(run(2, "loop", 0), 0, section("train"));
}

TEST_F(WatchdogTest, ASkippedCollectiveIsNamed) {
  expect_named(run(3, "skip", 1), 1, section("agree"));
}

TEST_F(WatchdogTest, ASkippedCollectiveOfTwoNamesBoth) {
  // By number each stands in the same collective of its group: nothing tells who is wrong.
  const Outcome outcome = run(2, "skip", 1);
  expect_named(outcome, 0, section("reduce"));
  EXPECT_THAT(outcome.text, HasSubstr("rank 1 (host "));
  EXPECT_THAT(outcome.text, HasSubstr("section \"agree\""));
}

TEST_F(WatchdogTest, ARankThatDoesNotComeToTheEndIsNamed) {
  const Outcome outcome = run(3, "end_early", 1);
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("rank 1 (host "));
  EXPECT_THAT(outcome.text, HasSubstr("section \"save\""));
  EXPECT_FALSE(someone_is_left());
}

TEST_F(WatchdogTest, AnErrorOfOneRankIsNotTakenForAHang) {
  const Outcome outcome = run(3, "throw", 0);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.text;  // kData
  EXPECT_THAT(outcome.text, HasSubstr("a row is cut off"));
  EXPECT_THAT(outcome.text, Not(HasSubstr("no progress")));
  EXPECT_FALSE(someone_is_left());
}

TEST_F(WatchdogTest, WhoWaitsForALostCoordinatorIsNotLeftWaiting) {
  const Outcome outcome = run(3, "confuse", 2);
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;  // kCommunication
  EXPECT_FALSE(someone_is_left());
}

TEST_F(WatchdogTest, ACoordinatorThatStandsStillIsNamed) {
  const Outcome outcome = run(3, "block", 0);
  EXPECT_EQ(outcome.exit_code, 8) << outcome.text;
  const auto status = baton::run::read_status(run_);
  ASSERT_TRUE(status) << outcome.text;
  EXPECT_THAT(status->error, HasSubstr("rank 0 (host "));
  EXPECT_THAT(status->error, HasSubstr(section("coordinate")));
  EXPECT_LT(seconds_until_named(), kTimeout + 5) << outcome.text;
  EXPECT_FALSE(someone_is_left());
}

TEST_F(WatchdogTest, AWorldThatSleptGoesOn) {
  const double start = now_seconds();
  FILE* pipe = popen(command(3, "none", 0, kTimeout).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  const auto signal_all = [&](int signal) {
    for (int rank = 0; rank < 3; ++rank) {
      if (pid_of(rank) > 0) {
        kill(pid_of(rank), signal);
      }
    }
  };
  for (int i = 0; i < 300 && pid_of(2) <= 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  signal_all(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::duration<double>(3 * kTimeout));
  signal_all(SIGCONT);
  const Outcome outcome = finish(pipe, start);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text, "done\ndone\ndone\n");
}

TEST_F(WatchdogTest, TheHostOfTheRankIsNamed) {
  if (std::system("unshare --uts hostname elsewhere > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "this kernel or user may not make host names of its own";
  }
  const double start = now_seconds();
  const std::string hosts = " --mca plm_rsh_agent " BATON_AGENT " -host baton-a:2,baton-b:2";
  const Outcome outcome = finish(popen(command(4, "stop", 3, kTimeout, hosts).c_str(), "r"), start);
  expect_named(outcome, 3, kAnySection);
  EXPECT_EQ(baton::run::read_status(run_)->host, "baton-b");
}

TEST_F(WatchdogTest, AWorldOfOneIsWatchedToo) {
  const std::string alone =
      "env -u OMPI_COMM_WORLD_SIZE -u PMIX_RANK -u PMI_RANK timeout -k 2 30 " BATON_WATCHDOG_PROBE
      " loop " +
      run_.string() + " 0 " + std::to_string(kTimeout) + " 2>&1";
  const double start = now_seconds();
  const Outcome outcome = finish(popen(alone.c_str(), "r"), start);
  expect_named(outcome, 0, section("train"));
}

TEST_F(WatchdogTest, ZeroSecondsTurnsItOff) {
  const std::string off = "timeout 60 " BATON_MPIRUN " -n 2 " BATON_WATCHDOG_PROBE " none " +
                          run_.string() + " 0 0 2>&1";
  const Outcome outcome = finish(popen(off.c_str(), "r"), now_seconds());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
}

}  // namespace
