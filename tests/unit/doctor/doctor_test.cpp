// What `baton doctor` thinks of facts that no machine at hand has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "baton/base/wire.hpp"
#include "baton/doctor/findings.hpp"

namespace baton::doctor {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

RankFacts rank_on(std::int64_t world_rank,
                  const std::string& host,
                  std::int64_t node,
                  std::int64_t local_rank) {
  RankFacts facts;
  facts.world_rank = world_rank;
  facts.host = host;
  facts.node = node;
  facts.local_rank = local_rank;
  facts.local_size = 2;
  facts.build = "0.1.0 aaaa";
  facts.affinity_cores = 8;
  facts.usable_cores = 8;
  facts.machine_cores = 8;
  facts.shared_memory_bytes = kGiB;
  facts.memory_bytes = 64 * kGiB;
  facts.utc_seconds = 1000;
  return facts;
}

Finding row(const std::vector<Finding>& findings, const std::string& check) {
  for (const Finding& finding : findings) {
    if (finding.check == check) {
      return finding;
    }
  }
  ADD_FAILURE() << "no row " << check;
  return {};
}

Health machine_health(const RankFacts& facts, const std::string& check) {
  const Finding finding = row(judge_machine(facts), check);
  EXPECT_EQ(finding.fix.empty(), finding.health == Health::kOk) << check;
  return finding.health;
}

PlaceFacts good_place() {
  PlaceFacts place;
  place.path = place.tested_path = "/data/runs";
  place.file_system = 0xEF53;
  place.fsync_seconds = {0.3, 0.001, 0.002, 0.003, 0.9};
  place.second_lock_refused = true;
  place.free_bytes = 100 * kGiB;
  place.free_files = 1'000'000;
  return place;
}

TEST(Doctor, AGoodMachineIsWell) {
  for (const Finding& finding : judge_machine(rank_on(0, "a", 0, 0))) {
    EXPECT_EQ(finding.health, Health::kOk) << finding.check << ": " << finding.found;
  }
}

TEST(Doctor, LimitsOfAMachine) {
  RankFacts facts = rank_on(0, "a", 0, 0);
  facts.open_files = 1023;
  EXPECT_EQ(machine_health(facts, "limit: open files"), Health::kWarning);
  facts.file_bytes = 64 * kMiB;
  EXPECT_EQ(machine_health(facts, "limit: file size"), Health::kWarning);
  facts.file_bytes = 64 * kMiB - 1;
  EXPECT_EQ(machine_health(facts, "limit: file size"), Health::kBad);
  facts.locked_bytes = kMiB;  // only network cards and GPUs lock memory
  EXPECT_EQ(machine_health(facts, "limit: locked memory"), Health::kOk);
  facts.has_infiniband = true;
  EXPECT_EQ(machine_health(facts, "limit: locked memory"), Health::kWarning);
  facts.processes = 64 * 2 + 4 * 8 - 1;
  EXPECT_EQ(machine_health(facts, "limit: processes"), Health::kWarning);
  facts.shared_memory_bytes = 95 * kMiB;  // 48 for each of two ranks
  EXPECT_EQ(machine_health(facts, "/dev/shm"), Health::kWarning);
  facts.shared_memory_bytes.reset();
  EXPECT_EQ(machine_health(facts, "/dev/shm"), Health::kWarning);
  facts.memory_bytes = 2 * kGiB - 1;
  EXPECT_EQ(machine_health(facts, "memory"), Health::kWarning);
  facts.clock_jump = -0.06;
  EXPECT_EQ(machine_health(facts, "clock"), Health::kWarning);
}

TEST(Doctor, Cores) {
  RankFacts facts = rank_on(0, "a", 0, 0);
  facts.affinity_cores = 2;  // two ranks of two cores: half of the machine
  EXPECT_EQ(machine_health(facts, "cores"), Health::kOk);
  facts.affinity_cores = 1;
  EXPECT_EQ(machine_health(facts, "cores"), Health::kWarning);
  EXPECT_THAT(row(judge_machine(facts), "cores").fix, HasSubstr("--bind-to none"));
  facts.local_size = 9;
  EXPECT_EQ(machine_health(facts, "cores"), Health::kWarning);
}

TEST(Doctor, Folders) {
  EXPECT_EQ(doctor_exit_code(judge_place(good_place())), 0);
  // Sorted: 1, 2, 3, 300, 900 ms.
  EXPECT_THAT(row(judge_place(good_place()), "fsync").found, HasSubstr("3.0 ms"));
  PlaceFacts place = good_place();
  place.fsync_seconds = {0.1, 0.6, 0.7, 0.8, 0.2};
  EXPECT_EQ(row(judge_place(place), "fsync").health, Health::kWarning);
  place.second_lock_refused = false;
  EXPECT_EQ(row(judge_place(place), "flock").health, Health::kWarning);
  place.lock_errno = ENOLCK;
  EXPECT_THAT(row(judge_place(place), "flock").found, HasSubstr("No locks available"));
  place.time_ahead = -30;
  EXPECT_THAT(row(judge_place(place), "file times").found, HasSubstr("-30.0 s"));
  place.failed_step = "fsync";
  place.failed_errno = EDQUOT;
  EXPECT_EQ(doctor_exit_code(judge_place(place)), 5);
  EXPECT_THAT(row(judge_place(place), "writing").found, HasSubstr("quota"));
}

TEST(Doctor, FreeSpaceAndFiles) {
  PlaceFacts place = good_place();
  const auto health = [&] { return row(judge_place(place), "free space").health; };
  place.free_files.reset();  // some file systems do not count them
  EXPECT_EQ(health(), Health::kOk);
  place.free_bytes = 2 * kGiB - 1;
  EXPECT_EQ(health(), Health::kWarning);
  place.free_bytes = 64 * kMiB - 1;
  EXPECT_EQ(health(), Health::kBad);
  place.free_bytes = 100 * kGiB;
  place.free_files = 99;
  EXPECT_EQ(health(), Health::kBad);
}

TEST(Doctor, FileSystems) {
  EXPECT_EQ(file_system_name(0x6969), "nfs");
  EXPECT_EQ(file_system_name(static_cast<std::int32_t>(0x9123683E)),
            "btrfs");  // the field may be signed
  EXPECT_EQ(file_system_name(0x1234), "type 0x1234");
  PlaceFacts place = good_place();
  place.file_system = 0x01021994;
  EXPECT_EQ(judge_place(place).front().health, Health::kWarning);
  place.file_system = 0x794C7630;
  EXPECT_EQ(judge_place(place).front().health, Health::kWarning);
  place.file_system = 0x0BD00BD0;
  EXPECT_EQ(judge_place(place).front().health, Health::kOk);
}

TEST(Doctor, OneRowForMachinesThatAreAlike) {
  const Finding well{"flock", Health::kOk, "works", "", {}};
  const Finding other{"flock", Health::kOk, "works too", "", {}};
  const Finding ill{"flock", Health::kWarning, "no locks", "mount it so", {}};
  EXPECT_EQ(merge_machines({"a", "b"}, {{well}, {well}}).size(), 1U);
  EXPECT_THAT(merge_machines({"a", "b"}, {{well}, {other}}).at(0).found,
              HasSubstr("all 2 machines are well"));
  const auto apart = merge_machines({"a", "b"}, {{well}, {ill}});
  ASSERT_EQ(apart.size(), 2U);
  EXPECT_EQ(apart[0].found, "a: works");
  EXPECT_EQ(apart[1].found, "b: no locks");
  EXPECT_EQ(apart[1].fix, "mount it so");
  EXPECT_EQ(merge_machines({"a", "b"}, {{ill}, {ill}}).size(), 1U);
}

TEST(Doctor, WorldsAndJobs) {
  comm::LaunchFacts launch;
  const std::vector<RankFacts> one{rank_on(0, "a", 0, 0)};
  const std::vector<RankFacts> three{rank_on(0, "a", 0, 0), rank_on(1, "a", 0, 1),
                                     rank_on(2, "b", 1, 0)};
  EXPECT_EQ(judge_launch(launch, one, std::nullopt).health, Health::kOk);
  launch.launcher = "srun";
  launch.num_job_tasks = 3;
  EXPECT_EQ(judge_launch(launch, three, std::nullopt).health, Health::kOk);
  EXPECT_THAT(judge_launch(launch, three, std::nullopt).found, HasSubstr("3 ranks on 2 machines"));
  launch.num_job_tasks = 4;
  EXPECT_EQ(judge_launch(launch, three, std::nullopt).health, Health::kWarning);
  launch.alone_on_purpose = true;
  EXPECT_EQ(judge_launch(launch, three, std::nullopt).health, Health::kOk);
  const base::Error failure(base::ErrorKind::kCommunication, "alone",
                            {.found = "a world of 1", .fix = "use srun"});
  const Finding finding = judge_launch(launch, one, failure);
  EXPECT_EQ(doctor_exit_code({finding}), 6);
  EXPECT_EQ(finding.fix, "use srun");
}

TEST(Doctor, BuildsClocksAndLibraries) {
  std::vector<RankFacts> ranks{rank_on(0, "a", 0, 0), rank_on(1, "b", 1, 0)};
  EXPECT_EQ(judge_builds(ranks).health, Health::kOk);
  EXPECT_EQ(judge_clocks(ranks).health, Health::kOk);
  ranks[1].build = "0.1.0 bbbb";
  ranks[1].utc_seconds = 1002.5;
  EXPECT_THAT(judge_builds(ranks).found, HasSubstr("rank 1 on b runs 0.1.0 bbbb"));
  EXPECT_EQ(doctor_exit_code({judge_builds(ranks)}), 6);
  EXPECT_THAT(judge_clocks(ranks).found, HasSubstr("b is 2.5 s ahead of a"));
  EXPECT_EQ(judge_mpi("Open MPI 4.1.4", "Open MPI 4.1.4").health, Health::kOk);
  EXPECT_EQ(judge_mpi("Open MPI 4.1.4", "Open MPI 5.0.1").health, Health::kWarning);
  comm::LaunchFacts launch;
  EXPECT_EQ(judge_pmix("", launch).health, Health::kWarning);
  launch.can_meet_peers = true;
  EXPECT_EQ(judge_pmix("", launch).health, Health::kOk);
}

TEST(Doctor, Gpus) {
  std::vector<RankFacts> ranks{rank_on(0, "a", 0, 0), rank_on(1, "a", 0, 1)};
  EXPECT_EQ(judge_gpus(ranks, "no driver").health, Health::kSkipped);
  EXPECT_EQ(judge_gpus(ranks, "no GPU: no driver").found, "no GPU: no driver");
  ranks[0].device_id = "GPU-1";
  EXPECT_EQ(judge_gpus(ranks, "").health, Health::kWarning);
  ranks[1].device_id = "GPU-2";
  EXPECT_EQ(judge_gpus(ranks, "").health, Health::kOk);
  ranks[1].device_advice = "shown one GPU";
  EXPECT_EQ(judge_gpus(ranks, "").fix, "shown one GPU");
  ranks[1].device_id = "GPU-1";
  EXPECT_THAT(judge_gpus(ranks, "").found, HasSubstr("ranks 0 and 1 share one GPU"));
  EXPECT_EQ(doctor_exit_code({judge_gpus(ranks, "")}), 6);
}

TEST(Doctor, TheFirstBadRowGivesTheExitCode) {
  const Finding space{"free space", Health::kBad, "0 B", "", base::ErrorKind::kStorage};
  const Finding world{"world", Health::kBad, "alone", "", base::ErrorKind::kCommunication};
  const Finding slow{"fsync", Health::kWarning, "1 s", "", base::ErrorKind::kStorage};
  EXPECT_EQ(doctor_exit_code({slow}), 0);
  EXPECT_EQ(doctor_exit_code({slow, space, world}), 5);
  EXPECT_EQ(doctor_exit_code({slow, world, space}), 6);
}

TEST(Doctor, FactsTravelUnchanged) {
  RankFacts facts = rank_on(3, "host \"q\"", 1, 1);
  facts.open_files = 7;
  facts.device_id = "GPU-9";
  facts.clock_jump = 0.125;
  const auto back = base::from_bytes<RankFacts>(base::to_bytes(facts), "facts");
  EXPECT_EQ(base::json_object(back).dump(), base::json_object(facts).dump());
  EXPECT_EQ(back.open_files, 7U);
  EXPECT_FALSE(back.file_bytes.has_value());
}

TEST(Doctor, TextSaysWhatToDo) {
  const Finding slow{"fsync", Health::kWarning, "1 s", "buy a disk", {}};
  const std::string text = doctor_text({slow}, {rank_on(0, "a", 0, 0), rank_on(1, "b", 1, 0)});
  EXPECT_THAT(text, HasSubstr("fsync (warn): buy a disk"));
  EXPECT_THAT(text, HasSubstr("local rank"));
  EXPECT_THAT(doctor_text({}, {}), HasSubstr("Nothing is wrong"));
}

}  // namespace
}  // namespace baton::doctor
