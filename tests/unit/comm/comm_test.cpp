// What of comm needs no second process: the group of one, launch facts, errors as bytes, the choice
// of backend.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "../../../src/comm/agreement.hpp"
#include "baton/base/error.hpp"
#include "baton/comm/agree.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/comm/process_world.hpp"

namespace baton::comm {
namespace {

using ::testing::HasSubstr;

constexpr const char* kVariables[] = {"OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_RANK",
                                      "OMPI_COMM_WORLD_LOCAL_SIZE",
                                      "SLURM_STEP_NUM_TASKS",
                                      "SLURM_STEP_ID",
                                      "SLURM_PROCID",
                                      "SLURM_NTASKS",
                                      "SLURM_JOB_ID",
                                      "SLURM_JOBID",
                                      "SLURM_NTASKS_PER_NODE",
                                      "SLURM_JOB_NUM_NODES",
                                      "BATON_ALONE",
                                      "SLURM_STEP_TASKS_PER_NODE",
                                      "PMI_SIZE",
                                      "PMI_RANK",
                                      "PMI_FD",
                                      "PMIX_RANK",
                                      "MPI_LOCALNRANKS"};

class LaunchFactsTest : public ::testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char* name : kVariables) {
      unsetenv(name);
    }
  }
  static void set(const char* name, const char* value) { setenv(name, value, 1); }
};

TEST_F(LaunchFactsTest, PlainStart) {
  const LaunchFacts facts = launch_facts();
  EXPECT_EQ(facts.launcher, "none");
  EXPECT_EQ(facts.announced_size, 1);
  EXPECT_FALSE(facts.can_meet_peers);
}

TEST_F(LaunchFactsTest, MpirunInsideASlurmJob) {
  set("OMPI_COMM_WORLD_SIZE", "6");
  set("OMPI_COMM_WORLD_RANK", "4");
  set("OMPI_COMM_WORLD_LOCAL_SIZE", "3");
  set("PMIX_RANK", "4");
  set("SLURM_STEP_ID", "0");  // of the step by which mpirun started its daemons
  set("SLURM_STEP_NUM_TASKS", "2");
  set("SLURM_PROCID", "1");
  const LaunchFacts facts = launch_facts();
  EXPECT_EQ(facts.launcher, "mpirun");
  EXPECT_EQ(facts.announced_size, 6);
  EXPECT_EQ(facts.announced_rank, 4);
  EXPECT_EQ(facts.announced_local_size, 3);
  EXPECT_TRUE(facts.can_meet_peers);
}

TEST_F(LaunchFactsTest, SrunStep) {
  set("SLURM_STEP_ID", "3");
  set("SLURM_STEP_NUM_TASKS", "8");
  set("SLURM_STEP_TASKS_PER_NODE", "4(x2)");
  set("SLURM_PROCID", "5");
  EXPECT_FALSE(launch_facts().can_meet_peers);
  set("PMIX_RANK", "5");
  const LaunchFacts facts = launch_facts();
  EXPECT_EQ(facts.launcher, "srun");
  EXPECT_EQ(facts.announced_size, 8);
  EXPECT_EQ(facts.announced_rank, 5);
  EXPECT_EQ(facts.announced_local_size, 4);
  EXPECT_TRUE(facts.can_meet_peers);
}

TEST_F(LaunchFactsTest, ABatchScriptsShellIsNoStep) {
  set("SLURM_NTASKS", "16");
  set("SLURM_PROCID", "0");
  EXPECT_EQ(launch_facts().launcher, "none");
  EXPECT_EQ(launch_facts().announced_size, 1);
}

TEST_F(LaunchFactsTest, AProcessAloneInALargerJobIsAProblem) {
  set("SLURM_NTASKS", "16");
  EXPECT_FALSE(lone_process_problem(launch_facts()));  // no job: a variable somebody left behind
  set("SLURM_JOB_ID", "99");
  const auto problem = lone_process_problem(launch_facts());
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->kind(), base::ErrorKind::kCommunication);
  EXPECT_THAT(problem->what(), HasSubstr("16 ranks"));
  EXPECT_THAT(problem->what(), HasSubstr("srun --mpi=pmix"));
  EXPECT_THROW(ProcessWorld(nullptr, nullptr), base::Error);

  set("BATON_ALONE", "1");
  EXPECT_FALSE(lone_process_problem(launch_facts()));
  EXPECT_EQ(ProcessWorld(nullptr, nullptr).size(), 1);
  set("BATON_ALONE", "0");
  EXPECT_TRUE(lone_process_problem(launch_facts()));

  set("SLURM_STEP_ID", "0");  // srun -n 1, asked for
  set("SLURM_STEP_NUM_TASKS", "1");
  set("SLURM_PROCID", "0");
  EXPECT_FALSE(lone_process_problem(launch_facts()));
}

TEST_F(LaunchFactsTest, TheTasksOfAJobMayBeGivenPerNode) {
  set("SLURM_JOB_ID", "99");
  EXPECT_EQ(launch_facts().num_job_tasks, 1);
  set("SLURM_JOB_NUM_NODES", "2");
  set("SLURM_NTASKS_PER_NODE", "4");
  EXPECT_EQ(launch_facts().num_job_tasks, 8);
  EXPECT_TRUE(lone_process_problem(launch_facts()));
  set("SLURM_NTASKS", "1");
  EXPECT_FALSE(lone_process_problem(launch_facts()));
}

TEST_F(LaunchFactsTest, NonsenseCountsAsAbsent) {
  set("OMPI_COMM_WORLD_SIZE", "many");
  EXPECT_EQ(launch_facts().launcher, "none");
}

TEST_F(LaunchFactsTest, AWorldOfOneWorksWithoutMpi) {
  ProcessWorld world(nullptr, nullptr);
  EXPECT_EQ(world.size(), 1);
  EXPECT_EQ(world.rank(), 0);
  EXPECT_EQ(world.local_size(), 1);
  EXPECT_EQ(world.node_of_rank(), std::vector<int>{0});
  EXPECT_STREQ(world.make_world_group()->backend(), "single");
  EXPECT_TRUE(world.split({{0}}));
  EXPECT_FALSE(world.split({}));
  world.send_control(0, Mailbox::kWorker, "one");
  world.send_control(0, Mailbox::kWorker, "two");
  EXPECT_EQ(world.poll_control(Mailbox::kWorker)->bytes, "one");
  EXPECT_EQ(world.poll_control(Mailbox::kWorker)->bytes, "two");
  EXPECT_FALSE(world.poll_control(Mailbox::kWorker));
  world.send_control(0, Mailbox::kWatch, "for the watch");
  EXPECT_FALSE(world.poll_control(Mailbox::kWorker));
  EXPECT_EQ(world.poll_control(Mailbox::kWatch)->bytes, "for the watch");
  world.check_same_build("any");
  agree(world.everyone(), std::nullopt);
  EXPECT_THROW(
      together(world.everyone(), [] { throw base::Error(base::ErrorKind::kData, "cut off"); }),
      base::Error);
  world.close();
  world.close();
  EXPECT_THROW(world.make_world_group(), base::Error);
  EXPECT_THROW(world.poll_control(Mailbox::kWatch), base::Error);
}

TEST_F(LaunchFactsTest, SrunWithoutAMeetingPlaceIsRefusedBeforeMpiStarts) {
  set("SLURM_STEP_ID", "0");
  set("SLURM_STEP_NUM_TASKS", "4");
  set("SLURM_PROCID", "2");
  try {
    ProcessWorld world(nullptr, nullptr);
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("--mpi=pmix"));
    EXPECT_THAT(error.what(), HasSubstr("rank 2"));
  }
}

TEST(SingleCommunicator, OperationsAreIdentities) {
  auto group = make_single_communicator();
  std::vector<float> values{1, 2, 3};
  const FloatBuffer buffer{values.data(), values.size(), false};
  group->all_reduce_sum(buffer);
  group->broadcast(buffer, 0);
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
  std::vector<float> received(3, -1);
  group->all_gather(buffer, {received.data(), received.size(), false});
  EXPECT_EQ(received, values);
  group->all_gather(buffer, buffer);
  EXPECT_EQ(group->all_reduce_sum(2.5), 2.5);
  EXPECT_EQ(group->all_reduce_max(-3), -3);
  EXPECT_EQ(group->all_gather_bytes("ab"), std::vector<std::string>{"ab"});
  EXPECT_EQ(group->broadcast_bytes("cd", 0), "cd");
}

TEST(SingleCommunicator, ChecksWhatARealGroupChecks) {
  auto group = make_single_communicator();
  float value = 1;
  EXPECT_THROW(group->broadcast({&value, 1, false}, 1), base::Error);
  EXPECT_THROW(group->all_reduce_sum({nullptr, 1, false}), base::Error);
  EXPECT_THROW(group->all_gather({&value, 1, false}, {&value, 2, false}), base::Error);
  group->close();
  EXPECT_THROW(group->barrier(), base::Error);
  EXPECT_THROW(group->close(), base::Error);
}

TEST(Agreement, ErrorsSurviveTheWayThere) {
  const base::Error sent(
      base::ErrorKind::kStorage, "no space",
      {.where = "/data", .expected = "2 GiB", .found = "1 KiB", .fix = "make room"});
  const base::Error received = error_from_bytes(error_to_bytes(sent), 3);
  EXPECT_EQ(received.kind(), base::ErrorKind::kStorage);
  EXPECT_EQ(received.summary(), "no space");
  EXPECT_EQ(received.details().where, "rank 3: /data");
  EXPECT_EQ(received.details().expected, "2 GiB");
  EXPECT_EQ(received.details().found, "1 KiB");
  EXPECT_EQ(received.details().fix, "make room");
}

TEST(Agreement, UnreadableErrorsAreOurOwn) {
  for (const char* bytes : {"", "{", "[1]", R"({"format": 2, "kind": "data"})"}) {
    const base::Error error = error_from_bytes(bytes, 1);
    EXPECT_EQ(error.kind(), base::ErrorKind::kInternal) << bytes;
    EXPECT_THAT(error.what(), HasSubstr("rank 1"));
  }
}

TEST(Agreement, PlacesInGroups) {
  const std::vector<std::vector<int>> members{{4, 0}, {2}};
  EXPECT_EQ(find_place(members, 0, 5).group_index, 0);
  EXPECT_EQ(find_place(members, 0, 5).position, 1);
  EXPECT_EQ(find_place(members, 2, 5).group_index, 1);
  EXPECT_EQ(find_place(members, 1, 5).group_index, -1);
  EXPECT_THROW(find_place(members, 0, 4), base::Error);     // rank 4 of 4
  EXPECT_THROW(find_place({{0}, {0}}, 0, 2), base::Error);  // twice
  EXPECT_THROW(find_place({{}}, 0, 2), base::Error);
}

TEST(Backend, NamesAndTypos) {
  EXPECT_EQ(backend_from_name("auto"), Backend::kAuto);
  EXPECT_EQ(backend_from_name("mpi"), Backend::kMpi);
  EXPECT_EQ(backend_from_name("nccl"), Backend::kNccl);
  try {
    backend_from_name("ncll");
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("did you mean \"nccl\""));
  }
}

TEST(Backend, AutoOnOneRankIsTheGroupItself) {
  CommunicatorRequest request;
  request.device = device::cpu_device();
  EXPECT_STREQ(make_communicator(make_single_communicator(), request)->backend(), "single");
}

TEST(Backend, NcclWithoutAGpuIsRefusedInWords) {
  CommunicatorRequest request;
  request.backend = Backend::kNccl;
  request.device = device::cpu_device();
  try {
    make_communicator(make_single_communicator(), request);
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr(nccl_compiled_in() ? "has no GPU" : "not compiled in"));
  }
}

TEST(Backend, TheLoadedNcclIsTheOneCompiledAgainst) {
  const std::string text = nccl_version_text();
  if (!nccl_compiled_in()) {
    EXPECT_EQ(text, "not compiled in");
    return;
  }
  // "NCCL A (compiled B)" with A = B.
  const std::string loaded = text.substr(5, text.find(" (") - 5);
  EXPECT_EQ(text, "NCCL " + loaded + " (compiled " + loaded + ")");
}

}  // namespace
}  // namespace baton::comm
