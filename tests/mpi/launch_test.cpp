// How the processes of a run begin and end: alone, under mpirun, with a launcher that promised
// more, and when one rank fails while others wait. Each case starts a program with a time limit of
// its own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int exit_code = -1;
  std::string text;  // stdout and stderr together
  double seconds = 0;
};

Outcome run(const std::string& command) {
  // A launcher's variables around this test must not reach the programs it starts.
  const std::string whole =
      "env -u OMPI_COMM_WORLD_SIZE -u PMIX_RANK -u PMI_RANK -u PMI_SIZE -u SLURM_STEP_ID timeout "
      "-k 2 30 env " +
      command + " 2>&1";
  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  FILE* pipe = popen(whole.c_str(), "r");
  if (pipe == nullptr) {
    return outcome;
  }
  std::array<char, 4096> block{};
  for (std::size_t n = 0; (n = fread(block.data(), 1, block.size(), pipe)) > 0;) {
    outcome.text.append(block.data(), n);
  }
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

std::string mpirun(int num_ranks, const std::string& mode) {
  return std::string(BATON_MPIRUN) + " -n " + std::to_string(num_ranks) + " " + BATON_PROBE + " " +
         mode;
}

std::string alone(const std::string& mode) {
  return std::string(BATON_PROBE) + " " + mode;
}

TEST(Launch, APlainStartIsAWorldOfOneWithoutMpi) {
  const Outcome outcome = run(alone("facts"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text, "rank 0 of 1, mpi untouched\nbackend single\n");
  EXPECT_LT(outcome.seconds, 10.0);
}

TEST(Launch, AOneTaskStepIsAWorldOfOne) {
  const Outcome outcome =
      run("SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 " + alone("facts"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("rank 0 of 1, mpi untouched"));
}

TEST(Launch, RanksStartedWithoutAMeetingPlaceAreAnError) {
  const Outcome outcome =
      run("SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2 " + alone("facts"));
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("4 ranks"));
  EXPECT_THAT(outcome.text, HasSubstr("--mpi=pmix"));
}

TEST(Launch, AnotherMpisLauncherIsAnError) {
  // What mpiexec of another MPI leaves: a size, and nobody to meet.
  const Outcome outcome =
      run("PMI_SIZE=4 PMI_RANK=2 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " +
          alone("facts"));
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("alone though more were started"));
  EXPECT_THAT(outcome.text, HasSubstr("MPI world of 1"));
}

TEST(Launch, MpirunGivesOneWorld) {
  const Outcome outcome = run(mpirun(3, "facts"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  for (const char* line :
       {"rank 0 of 3, mpi started", "rank 1 of 3, mpi started", "rank 2 of 3, mpi started"}) {
    EXPECT_THAT(outcome.text, HasSubstr(line));
  }
}

TEST(Launch, AThrowingRankEndsThoseThatWait) {
  const Outcome outcome = run(mpirun(3, "throw"));
  EXPECT_EQ(outcome.exit_code, 7) << outcome.text;  // of kNonFinite, as given to abort
  EXPECT_THAT(outcome.text, HasSubstr("the loss is not finite"));
  EXPECT_THAT(outcome.text, Not(HasSubstr("passed")));
  EXPECT_LT(outcome.seconds, 25.0);
}

TEST(Launch, AnExceptionThroughTheWorldEndsThoseThatWait) {
  const Outcome outcome = run(mpirun(3, "unwind"));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "still running after the time limit";
  EXPECT_THAT(outcome.text, HasSubstr("the loss is not finite"));
  EXPECT_LT(outcome.seconds, 25.0);
}

TEST(Launch, AWorldThatIsNotClosedEndsInOrder) {
  const Outcome outcome = run(mpirun(2, "no_close"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("without close()"));
  EXPECT_THAT(outcome.text, HasSubstr("never read"));
}

TEST(Launch, UnreadMessagesInEveryMailboxDoNotHoldTheEnd) {
  const Outcome outcome = run(mpirun(3, "unread"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("ended\nended\nended\n"));
  // 3 senders x 2 messages x 2 mailboxes; the watch's do not count, rank 0 has read one.
  EXPECT_THAT(outcome.text, HasSubstr("12 control messages were never read"));
  EXPECT_THAT(outcome.text, HasSubstr("11 control messages were never read"));
}

TEST(Launch, LateReportsOfTheWatchAreDroppedInSilence) {
  const Outcome outcome = run(mpirun(2, "watch_unread"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text, "");
}

TEST(Launch, AloneInABatchJobOfSeveralTasksIsAnError) {
  const std::string job = "SLURM_JOB_ID=7 SLURM_NTASKS=4 ";
  const Outcome refused = run(job + alone("facts"));
  EXPECT_EQ(refused.exit_code, 6) << refused.text;
  EXPECT_THAT(refused.text, HasSubstr("srun --mpi=pmix"));
  EXPECT_EQ(run(job + "BATON_ALONE=1 " + alone("facts")).exit_code, 0);
  const Outcome started = run(job + mpirun(2, "facts"));
  EXPECT_EQ(started.exit_code, 0) << started.text;
}

TEST(Launch, AGroupMayOutliveTheWorldAndIsOfNoUse) {
  const Outcome outcome = run(mpirun(2, "outlive"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("refused after the end"));
}

TEST(Launch, RanksOfOneBuildStart) {
  const Outcome outcome = run(mpirun(2, "builds"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("the same build"));
}

TEST(Launch, ARankWithAnotherBuildIsRefused) {
  // The same program with a byte more: it runs, and is not the same file.
  const std::filesystem::path other =
      std::filesystem::temp_directory_path() / ("probe_" + std::to_string(getpid()));
  std::filesystem::copy_file(BATON_PROBE, other);
  std::ofstream(other, std::ios::app) << "x";
  const Outcome outcome = run(mpirun(2, "builds") + " : -n 1 " + other.string() +
                              " builds : -n 1 " BATON_PROBE " builds");
  std::filesystem::remove(other);
  EXPECT_EQ(outcome.exit_code, 6) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("the ranks run different builds"));
  EXPECT_THAT(outcome.text, HasSubstr("rank 2 on "));
  EXPECT_THAT(outcome.text, Not(HasSubstr("the same build")));
}

// ---- Two "hosts" on this machine: the launcher starts its daemons through an agent that gives
// each a host name of its own.

bool can_rename_hosts() {
  return std::system("unshare --uts hostname elsewhere > /dev/null 2>&1") == 0;
}

std::string on_hosts(const std::string& hosts, int num_ranks, const std::string& command) {
  return BATON_MPIRUN " --mca plm_rsh_agent " BATON_AGENT " --map-by node -host " + hosts + " -n " +
         std::to_string(num_ranks) + " " + command;
}

TEST(TwoHosts, GroupsKeepToTheirNodeAndLocalRanksAreRight) {
  if (!can_rename_hosts()) {
    GTEST_SKIP() << "this kernel or user may not make host names of its own";
  }
  // Dealt to the hosts in turn: neighbours in rank are on different nodes.
  const Outcome outcome =
      run(on_hosts("baton-a:2,baton-b:2", 4, std::string(BATON_PROBE) + " groups"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  for (const char* line :
       {"rank 0 on baton-a: node 0, local 0 of 2, group on baton-a baton-a, sum 2\n",
        "rank 1 on baton-b: node 1, local 0 of 2, group on baton-b baton-b, sum 2\n",
        "rank 2 on baton-a: node 0, local 1 of 2, group on baton-a baton-a, sum 2\n",
        "rank 3 on baton-b: node 1, local 1 of 2, group on baton-b baton-b, sum 2\n"}) {
    EXPECT_THAT(outcome.text, HasSubstr(line));
  }
}

TEST(TwoHosts, UnequalHosts) {
  if (!can_rename_hosts()) {
    GTEST_SKIP() << "this kernel or user may not make host names of its own";
  }
  const Outcome outcome =
      run(on_hosts("baton-a:1,baton-b:2", 3, std::string(BATON_PROBE) + " groups"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text,
              HasSubstr("rank 0 on baton-a: node 0, local 0 of 1, group on baton-a, sum 1"));
  EXPECT_THAT(
      outcome.text,
      HasSubstr("rank 2 on baton-b: node 1, local 1 of 2, group on baton-b baton-b, sum 2"));
}

TEST(TwoHosts, AHostThatIsNotThereEndsTheLaunch) {
  if (!can_rename_hosts()) {
    GTEST_SKIP() << "this kernel or user may not make host names of its own";
  }
  const Outcome outcome =
      run(on_hosts("baton-a:2,missing-host:2", 4, std::string(BATON_PROBE) + " groups"));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.exit_code, 124) << "still running after the time limit";
  EXPECT_THAT(outcome.text, HasSubstr("missing-host"));
  EXPECT_THAT(outcome.text, Not(HasSubstr("sum")));
}

Outcome run_judge(const std::string& test_case, int limit_seconds = 20) {
  return run("BATON_TEST_RANKS=3 BATON_TEST_LIMIT_S=" + std::to_string(limit_seconds) + " " +
             BATON_MPIRUN + " -n 3 " + BATON_JUDGE + " --gtest_color=no --gtest_filter=Judge." +
             test_case);
}

TEST(Judge, OneFailingRankFailsTheCaseOnAll) {
  const Outcome failing = run_judge("OneRankFails");
  EXPECT_EQ(failing.exit_code, 1) << failing.text;
  EXPECT_THAT(failing.text, HasSubstr("rank 2:"));  // a rank that saw nothing wrong itself
  EXPECT_THAT(failing.text, HasSubstr("failed on rank 1"));
  EXPECT_THAT(failing.text, HasSubstr("[  FAILED  ] Judge.OneRankFails"));  // rank 0's report
  const Outcome throwing = run_judge("OneRankThrows");
  EXPECT_EQ(throwing.exit_code, 1) << throwing.text;
  EXPECT_THAT(throwing.text, HasSubstr("thrown by a case"));
}

TEST(Judge, AHangHasAName) {
  const Outcome outcome = run_judge("OneRankHangs", 2);
  EXPECT_EQ(outcome.exit_code, 86) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("[watchdog] Judge.OneRankHangs"));
  EXPECT_LT(outcome.seconds, 15.0);
}

}  // namespace
