#include "baton/doctor/doctor.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>

#include "baton/base/log.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/comm/share.hpp"
#include "baton/comm/versions.hpp"
#include "baton/device/device.hpp"
#include "baton/device/host.hpp"
#include "baton/experiment/versions.hpp"
#include "baton/run/run_record.hpp"
#include "facts.hpp"

namespace baton::doctor {

namespace {

struct Diagnosis {
  std::vector<Finding> findings;
  std::vector<RankFacts> ranks;
  std::vector<Finding> of_world;  // what the ranks found together

  void add(std::vector<Finding> more) { findings.insert(findings.end(), more.begin(), more.end()); }
};

std::vector<RankFacts> gather_ranks(comm::ProcessWorld& world, comm::Communicator& group) {
  RankFacts mine = gather_rank_facts(world.local_rank(), world.local_size());
  mine.world_rank = world.rank();
  mine.host = world.host();
  mine.node = world.node_of_rank()[static_cast<std::size_t>(world.rank())];
  group.barrier();
  mine.utc_seconds = device::utc_seconds();
  return comm::from_all(group, mine);
}

std::vector<Finding> judge_machines(const std::vector<RankFacts>& ranks) {
  std::vector<std::string> hosts;
  std::vector<std::vector<Finding>> findings;
  for (const RankFacts& rank : ranks) {
    if (rank.local_rank == 0) {
      hosts.push_back(rank.host);
      findings.push_back(judge_machine(rank));
    }
  }
  return merge_machines(hosts, findings);
}

/// The GPU code of this build, and whether LibTorch fits the GPU that this rank takes.
Finding judge_gpu_code(const RankFacts& rank) {
  if (!device::cuda_compiled_in()) {
    const std::string text = device::gpu_absence_reason();
    const bool has_driver = !device::driver_version().empty();
    return {"CUDA",
            has_driver ? Health::kWarning : Health::kSkipped,
            text,
            has_driver ? "build with GPU code, unless the CPU is what you want" : "",
            {}};
  }
  device::Device device;
  device.kind = rank.device_id.empty() ? device::DeviceKind::kCpu : device::DeviceKind::kCuda;
  device.description = rank.device;
  if (const auto problem = device::library_problem(device, experiment::torch_sees_gpu())) {
    return {"CUDA", Health::kBad, problem->details().found, problem->details().fix,
            problem->kind()};
  }
  return {"CUDA",
          Health::kOk,
          comm::nccl_compiled_in() ? "GPU code is part of this build, with NCCL"
                                   : "GPU code is part of this build, without NCCL",
          "",
          {}};
}

std::vector<Finding> judge_libraries(const comm::LaunchFacts& launch, const RankFacts& rank) {
  std::map<std::string, std::string> versions = run::made_here().libraries;
  experiment::add_library_versions(versions);
  return {judge_mpi(comm::mpi_compiled_version(), comm::mpi_loaded_version()),
          judge_pmix(comm::pmix_version(), launch),
          {"HDF5", Health::kOk, versions["hdf5"], "", {}},
          {"LibTorch", Health::kOk, versions["torch"], "", {}},
          judge_gpu_code(rank)};
}

std::filesystem::path place_of(const config::Command& command) {
  if (!command.run.empty()) {
    return command.run;
  }
  return command.path.empty() ? std::filesystem::path(".") : command.path;
}

/// Everything that a world finds out; collective.
Diagnosis examine(comm::ProcessWorld& world, const config::Command& command) {
  Diagnosis diagnosis;
  const auto group = world.make_world_group();
  diagnosis.ranks = gather_ranks(world, *group);
  if (world.size() > 1) {
    diagnosis.of_world = check_messages(world, *group);
    for (Finding& finding : check_shared_folder(world, *group, place_of(command))) {
      diagnosis.of_world.push_back(std::move(finding));
    }
    diagnosis.of_world.push_back(judge_clocks(diagnosis.ranks));
  }
  diagnosis.of_world.push_back(judge_gpus(diagnosis.ranks, device::gpu_absence_reason()));
  diagnosis.of_world.push_back(check_nccl(world, *group));
  group->close();
  return diagnosis;
}

/// One process without a world: what it can say by itself.
Diagnosis examine_alone() {
  Diagnosis diagnosis;
  diagnosis.ranks.push_back(gather_rank_facts(0, 1));
  diagnosis.of_world.push_back(judge_gpus(diagnosis.ranks, device::gpu_absence_reason()));
  return diagnosis;
}

int conclude(Diagnosis& diagnosis,
             const config::Command& command,
             const comm::LaunchFacts& launch,
             const std::optional<base::Error>& failure) {
  diagnosis.add({judge_builds(diagnosis.ranks)});
  diagnosis.add(judge_libraries(launch, diagnosis.ranks.front()));
  diagnosis.add({judge_launch(launch, diagnosis.ranks, failure)});
  diagnosis.add(diagnosis.of_world);
  diagnosis.add(judge_machines(diagnosis.ranks));
  diagnosis.add(judge_place(gather_place_facts(place_of(command))));
  if (!command.run.empty()) {
    diagnosis.add(check_run(command.run));
  }
  if (command.as_json) {
    std::cout << doctor_json(diagnosis.findings, diagnosis.ranks)
                     .dump(2, ' ', false, base::OrderedJson::error_handler_t::replace)
              << "\n";
  } else {
    std::cout << doctor_text(diagnosis.findings, diagnosis.ranks);
  }
  return doctor_exit_code(diagnosis.findings);
}

}  // namespace

int run_doctor(const config::Command& command, int* argc, char*** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a finding, not a death
  const comm::LaunchFacts launch = comm::launch_facts();
  std::optional<base::Error> failure = comm::lone_process_problem(launch);
  std::optional<comm::ProcessWorld> world;
  if (!failure) {
    try {
      world.emplace(argc, argv);
    } catch (const base::Error& error) {
      failure = error;
    }
  }
  if (failure) {
    if (launch.announced_rank != 0) {
      return base::exit_code(failure->kind());  // one of them says it
    }
    Diagnosis diagnosis = examine_alone();
    return conclude(diagnosis, command, launch, failure);
  }
  base::set_log_identity(world->rank(), world->size());
  base::set_log_level(base::LogLevel::kError);  // the table says it all
  Diagnosis diagnosis = examine(*world, command);
  const int code = world->rank() == 0 ? conclude(diagnosis, command, launch, std::nullopt) : 0;
  const auto agreed = static_cast<int>(world->everyone().all_reduce_max(code));
  world->close();
  return agreed;
}

}  // namespace baton::doctor
