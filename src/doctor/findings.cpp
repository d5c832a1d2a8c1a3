#include "baton/doctor/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "baton/base/text.hpp"

namespace baton::doctor {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

Finding ok(const std::string& check, const std::string& found) {
  return {.check = check, .health = Health::kOk, .found = found, .fix = "", .kind = {}};
}
Finding warning(const std::string& check, const std::string& found, const std::string& fix) {
  return {.check = check, .health = Health::kWarning, .found = found, .fix = fix, .kind = {}};
}
Finding bad(const std::string& check,
            const std::string& found,
            const std::string& fix,
            base::ErrorKind kind) {
  return {.check = check, .health = Health::kBad, .found = found, .fix = fix, .kind = kind};
}

std::string counted(std::int64_t number, const char* what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

enum class Place { kDisk, kCluster, kNetwork, kMemory, kLayers };

struct FileSystem {
  std::int64_t magic;
  const char* name;
  Place place;
};

constexpr std::array<FileSystem, 22> kFileSystems{
    {{0xEF53, "ext4", Place::kDisk},          {0x58465342, "xfs", Place::kDisk},
     {0x9123683E, "btrfs", Place::kDisk},     {0x2FC12FC1, "zfs", Place::kDisk},
     {0xF2F52010, "f2fs", Place::kDisk},      {0x4D44, "vfat", Place::kDisk},
     {0x2011BAB0, "exfat", Place::kDisk},     {0x5346544E, "ntfs", Place::kDisk},
     {0x0BD00BD0, "lustre", Place::kCluster}, {0x47504653, "gpfs", Place::kCluster},
     {0x19830326, "beegfs", Place::kCluster}, {0x00C36400, "ceph", Place::kCluster},
     {0x01161970, "gfs2", Place::kCluster},   {0x6969, "nfs", Place::kNetwork},
     {0x517B, "smb", Place::kNetwork},        {0xFF534D42, "cifs", Place::kNetwork},
     {0xFE534D42, "smb2", Place::kNetwork},   {0x01021997, "9p", Place::kNetwork},
     {0x65735546, "fuse", Place::kNetwork},   {0x01021994, "tmpfs", Place::kMemory},
     {0x858458F6, "ramfs", Place::kMemory},   {0x794C7630, "overlayfs", Place::kLayers}}};

const FileSystem* find_file_system(std::int64_t magic) {
  // The kernel's field is signed; some magic numbers have the highest bit set.
  const auto low = magic & 0xFFFFFFFF;
  const auto found = std::find_if(kFileSystems.begin(), kFileSystems.end(),
                                  [&](const FileSystem& one) { return one.magic == low; });
  return found == kFileSystems.end() ? nullptr : &*found;
}

Finding judge_file_system(const PlaceFacts& place) {
  const FileSystem* known = find_file_system(place.file_system);
  const std::string name =
      fmt::format("{} at {}", file_system_name(place.file_system), place.tested_path);
  if (known == nullptr) {
    return ok("file system", name);
  }
  switch (known->place) {
    case Place::kMemory:
      return warning("file system", name + ", which lives in memory",
                     "put runs on a disk: a reboot takes this one away");
    case Place::kLayers:
      return warning(
          "file system", name + ", a container's own layer",
          "put runs on a folder of the host (a volume): the layer goes with the container");
    case Place::kNetwork:
      return ok("file system", name + ", over the network");
    case Place::kDisk:
    case Place::kCluster:
      break;
  }
  return ok("file system", name);
}

Finding judge_fsync(const PlaceFacts& place) {
  std::vector<double> times = place.fsync_seconds;
  std::sort(times.begin(), times.end());
  const double median = times.at(times.size() / 2);
  const std::string found =
      fmt::format("{:.1f} ms for 1 MiB, median of {}", 1e3 * median, times.size());
  constexpr double kSlowSeconds = 0.5;
  return median < kSlowSeconds ? ok("fsync", found)
                               : warning("fsync", found,
                                         "saving state will be slow: use a faster file system or a "
                                         "larger train.save_steps");
}

Finding judge_lock(const PlaceFacts& place) {
  if (place.lock_errno != 0) {
    return warning("flock", std::strerror(place.lock_errno),
                   "this file system has no locks: never start two runs in one folder (or mount it "
                   "with locks)");
  }
  if (!place.second_lock_refused) {
    return warning(
        "flock", "a second lock on a locked file was granted",
        "locks do nothing here: never start two runs in one folder (or mount it with locks)");
  }
  return ok("flock", "works");
}

Finding judge_space(const PlaceFacts& place) {
  std::string found = base::format_bytes(place.free_bytes);
  if (place.free_files) {
    found += fmt::format(", {} more files", *place.free_files);
  }
  const std::string fix = "free space there, or choose another output.output_dir";
  if (place.free_bytes < 64 * kMiB || (place.free_files && *place.free_files < 100)) {
    return bad("free space", found, fix, base::ErrorKind::kStorage);
  }
  if (place.free_bytes < 2 * kGiB || (place.free_files && *place.free_files < 10'000)) {
    return warning("free space", found, fix);
  }
  return ok("free space", found);
}

std::string limit_text(const std::optional<std::uint64_t>& limit, bool in_bytes) {
  if (!limit) {
    return "unlimited";
  }
  return in_bytes ? base::format_bytes(*limit) : std::to_string(*limit);
}

Finding judge_open_files(const RankFacts& facts) {
  const std::string found = limit_text(facts.open_files, false);
  return facts.open_files.value_or(1024) >= 1024
             ? ok("limit: open files", found)
             : warning("limit: open files", found,
                       "ulimit -n 4096: shards, data and sockets are open at once");
}

Finding judge_file_limit(const RankFacts& facts) {
  const std::string found = limit_text(facts.file_bytes, true);
  if (!facts.file_bytes) {
    return ok("limit: file size", found);
  }
  const std::string fix = "ulimit -f unlimited: a save that meets the limit fails";
  return *facts.file_bytes < 64 * kMiB
             ? bad("limit: file size", found, fix, base::ErrorKind::kStorage)
             : warning("limit: file size", found, fix);
}

Finding judge_locked_memory(const RankFacts& facts) {
  const std::string found = limit_text(facts.locked_bytes, true);
  const bool matters = facts.has_infiniband || !facts.device_id.empty();
  return facts.locked_bytes.value_or(kGiB) >= kGiB || !matters
             ? ok("limit: locked memory", found)
             : warning("limit: locked memory", found,
                       "ulimit -l unlimited: network cards and GPUs lock their buffers");
}

Finding judge_processes(const RankFacts& facts) {
  const std::string found = limit_text(facts.processes, false);
  const auto needed = static_cast<std::uint64_t>(64 * facts.local_size + 4 * facts.machine_cores);
  return facts.processes.value_or(needed) >= needed
             ? ok("limit: processes", found)
             : warning("limit: processes", found,
                       fmt::format("ulimit -u {}: threads count as well", 4 * needed));
}

Finding judge_shared_memory(const RankFacts& facts) {
  const std::string fix =
      "ranks of one machine talk through it: give it more (docker run --shm-size=1g, or mount a "
      "tmpfs there)";
  if (!facts.shared_memory_bytes) {
    return warning("/dev/shm", "not there", fix);
  }
  const auto needed = 48 * kMiB * static_cast<std::uint64_t>(facts.local_size);
  const std::string found = base::format_bytes(*facts.shared_memory_bytes) + " free";
  return *facts.shared_memory_bytes >= needed ? ok("/dev/shm", found)
                                              : warning("/dev/shm", found, fix);
}

Finding judge_memory(const RankFacts& facts) {
  const auto each =
      facts.memory_bytes / static_cast<std::uint64_t>(std::max<std::int64_t>(facts.local_size, 1));
  const std::string found =
      fmt::format("{} free, {} for each rank", base::format_bytes(facts.memory_bytes),
                  base::format_bytes(each));
  return each >= kGiB
             ? ok("memory", found)
             : warning("memory", found,
                       "start fewer ranks on this machine (`baton plan` shows what a rank needs)");
}

Finding judge_cores(const RankFacts& facts) {
  const std::string found =
      fmt::format("{} of {} for a rank, {} on the machine", facts.usable_cores, facts.machine_cores,
                  counted(facts.local_size, "rank"));
  if (facts.machine_cores < facts.local_size) {
    return warning("cores", found, "start no more ranks on a machine than it has cores");
  }
  if (2 * facts.affinity_cores * facts.local_size < facts.machine_cores) {
    return warning(
        "cores", found,
        "the ranks are pinned to few cores: mpirun --bind-to none, or srun --cpus-per-task");
  }
  return ok("cores", found);
}

Finding judge_steadiness(const RankFacts& facts) {
  constexpr double kJumpSeconds = 0.05;
  const std::string found = fmt::format("{:+.3f} s against the steady clock", facts.clock_jump);
  return std::abs(facts.clock_jump) < kJumpSeconds
             ? ok("clock", "steady")
             : warning("clock", found,
                       "the clock of the day jumps: look at the time service (time limits use the "
                       "steady clock)");
}

}  // namespace

std::string file_system_name(std::int64_t magic) {
  const FileSystem* known = find_file_system(magic);
  return known != nullptr ? known->name : fmt::format("type 0x{:x}", magic & 0xFFFFFFFF);
}

std::vector<Finding> judge_place(const PlaceFacts& place) {
  std::vector<Finding> findings{judge_file_system(place)};
  if (!place.failed_step.empty()) {
    findings.push_back(
        bad("writing",
            fmt::format("{} failed in {}: {}", place.failed_step, place.tested_path,
                        std::strerror(place.failed_errno)),
            "check permission, free space, quota and limits, or choose another output.output_dir",
            base::ErrorKind::kStorage));
  } else {
    findings.push_back(ok("writing", place.path == place.tested_path
                                         ? "works"
                                         : fmt::format("works ({} is not there yet)", place.path)));
    findings.push_back(judge_fsync(place));
    findings.push_back(judge_lock(place));
    constexpr double kAheadSeconds = 2;
    if (std::abs(place.time_ahead) > kAheadSeconds) {
      findings.push_back(warning(
          "file times", fmt::format("{:+.1f} s against this machine's clock", place.time_ahead),
          "the file server's clock differs: look at the time service"));
    }
  }
  findings.push_back(judge_space(place));
  return findings;
}

std::vector<Finding> judge_machine(const RankFacts& facts) {
  return {judge_cores(facts),         judge_memory(facts),     judge_shared_memory(facts),
          judge_open_files(facts),    judge_file_limit(facts), judge_processes(facts),
          judge_locked_memory(facts), judge_steadiness(facts)};
}

std::vector<Finding> merge_machines(const std::vector<std::string>& hosts,
                                    const std::vector<std::vector<Finding>>& findings) {
  std::vector<Finding> merged;
  for (std::size_t row = 0; !findings.empty() && row < findings[0].size(); ++row) {
    const Finding& first = findings[0][row];
    bool alike = true;
    bool all_well = true;
    for (const std::vector<Finding>& machine : findings) {
      alike = alike && machine[row].found == first.found && machine[row].health == first.health;
      all_well = all_well && machine[row].health == Health::kOk;
    }
    if (alike || all_well) {
      merged.push_back(first);
      if (!alike) {
        merged.back().found +=
            fmt::format(" (on {}; all {} machines are well)", hosts[0], hosts.size());
      }
      continue;
    }
    for (std::size_t machine = 0; machine < findings.size(); ++machine) {
      merged.push_back(findings[machine][row]);
      merged.back().found = hosts[machine] + ": " + merged.back().found;
    }
  }
  return merged;
}

Finding judge_launch(const comm::LaunchFacts& launch,
                     const std::vector<RankFacts>& ranks,
                     const std::optional<base::Error>& failure) {
  if (failure) {
    return bad("world", failure->summary() + ": " + failure->details().found,
               failure->details().fix, failure->kind());
  }
  std::set<std::int64_t> nodes;
  for (const RankFacts& rank : ranks) {
    nodes.insert(rank.node);
  }
  const auto size = static_cast<std::int64_t>(ranks.size());
  std::string found = launch.launcher == "none"
                          ? "one process, started by hand"
                          : fmt::format("{} on {}, started by {}", counted(size, "rank"),
                                        counted(static_cast<std::int64_t>(nodes.size()), "machine"),
                                        launch.launcher);
  if (launch.num_job_tasks > 1 && launch.num_job_tasks != size && !launch.alone_on_purpose) {
    found += fmt::format("; the Slurm job has {} tasks", launch.num_job_tasks);
    return warning(
        "world", found,
        "start one rank for each task of the job: srun --mpi=pmix, or mpirun without -n");
  }
  return ok("world", found);
}

Finding judge_mpi(const std::string& compiled, const std::string& loaded) {
  if (compiled == loaded) {
    return ok("MPI", loaded);
  }
  return warning(
      "MPI", fmt::format("compiled with {}, loaded {}", compiled, loaded),
      "put the MPI this program was built with first in LD_LIBRARY_PATH, or build it anew");
}

Finding judge_pmix(const std::string& version, const comm::LaunchFacts& launch) {
  if (!version.empty()) {
    return ok("PMIx", version);
  }
  if (launch.can_meet_peers) {
    return ok("PMIx", "the launcher's");
  }
  return warning(
      "PMIx", "no libpmix was found",
      "install PMIx (Debian: libpmix2): srun --mpi=pmix and mpirun find the ranks through it");
}

Finding judge_builds(const std::vector<RankFacts>& ranks) {
  for (const RankFacts& rank : ranks) {
    if (rank.build != ranks.front().build) {
      return bad("baton",
                 fmt::format("{} on {}, but rank {} on {} runs {}", ranks.front().build,
                             ranks.front().host, rank.world_rank, rank.host, rank.build),
                 "install the same build on every machine", base::ErrorKind::kCommunication);
    }
  }
  return ok("baton", ranks.front().build + (ranks.size() > 1 ? ", the same on all ranks" : ""));
}

Finding judge_clocks(const std::vector<RankFacts>& ranks) {
  const auto [earliest, latest] = std::minmax_element(
      ranks.begin(), ranks.end(), [](const RankFacts& left, const RankFacts& right) {
        return left.utc_seconds < right.utc_seconds;
      });
  const double apart = latest->utc_seconds - earliest->utc_seconds;
  constexpr double kApartSeconds = 2;
  return apart < kApartSeconds
             ? ok("clocks", fmt::format("within {:.3f} s of one another", apart))
             : warning(
                   "clocks",
                   fmt::format("{} is {:.1f} s ahead of {}", latest->host, apart, earliest->host),
                   "let a time service (chrony, ntp) set the clocks of all machines");
}

Finding judge_gpus(const std::vector<RankFacts>& ranks, const std::string& absence) {
  std::map<std::string, std::int64_t> owners;
  std::string advice;
  for (const RankFacts& rank : ranks) {
    if (rank.device_id.empty()) {
      continue;
    }
    const auto [place, is_new] = owners.insert({rank.device_id, rank.world_rank});
    if (!is_new) {
      return bad("GPUs",
                 fmt::format("ranks {} and {} share one GPU of {}", place->second, rank.world_rank,
                             rank.host),
                 "start one rank for each GPU, and let every task see its own or all of them",
                 base::ErrorKind::kCommunication);
    }
    advice = advice.empty() ? rank.device_advice : advice;
  }
  if (owners.empty()) {
    return {.check = "GPUs", .health = Health::kSkipped, .found = absence, .fix = "", .kind = {}};
  }
  const std::string found = fmt::format("{} for {} ranks, the first: {}", owners.size(),
                                        ranks.size(), ranks.front().device);
  if (owners.size() < ranks.size()) {
    return warning("GPUs", found,
                   "the other ranks compute on the CPU: start as many ranks as there are GPUs");
  }
  return advice.empty() ? ok("GPUs", found) : warning("GPUs", found, advice);
}

int doctor_exit_code(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    if (finding.health == Health::kBad) {
      return base::exit_code(finding.kind);
    }
  }
  return 0;
}

}  // namespace baton::doctor
