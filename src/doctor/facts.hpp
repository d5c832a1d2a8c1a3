#pragma once
// Gathers what `baton doctor` judges: from the kernel, from a folder, from the other ranks.

#include <filesystem>
#include <string>
#include <vector>

#include "baton/comm/process_world.hpp"
#include "baton/doctor/findings.hpp"

namespace baton::doctor {

/// Facts of this process and its machine; place in the world and clocks are left open.
RankFacts gather_rank_facts(int local_rank, int local_size);

/// Writes, syncs and locks small files in a folder of its own below the nearest existing folder of
/// `path`, and removes them again.
PlaceFacts gather_place_facts(const std::filesystem::path& path);

/// How a run's run.json and status.json read; nothing for files that are not there yet.
std::vector<Finding> check_run(const std::filesystem::path& run);

/// Seconds by which the clock of the day ran off the steady one within a tenth of a second.
double measure_clock_jump();

/// Sums over all ranks, and one message from rank 0 to each rank and back. Collective; the same
/// findings on all.
std::vector<Finding> check_messages(comm::ProcessWorld& world, comm::Communicator& group);

/// Whether every rank sees rank 0's file below `path`, and whether its lock holds on other
/// machines. Collective; the findings are right on rank 0.
std::vector<Finding> check_shared_folder(comm::ProcessWorld& world,
                                         comm::Communicator& group,
                                         const std::filesystem::path& path);

/// A sum over the ranks' GPUs by NCCL; "not tested" with the reason where there is none.
/// Collective.
Finding check_nccl(comm::ProcessWorld& world, comm::Communicator& group);

}  // namespace baton::doctor
