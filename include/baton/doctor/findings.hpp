#pragma once
// What `baton doctor` thinks of the facts it gathered: pure functions, one for each row of its
// table. A row that is not well says what to do.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/comm/process_world.hpp"

namespace baton::doctor {

enum class Health { kOk, kSkipped, kWarning, kBad };

/// "ok", "not tested", "warn", "BAD".
std::string health_name(Health health);

struct Finding {
  std::string check;  // "fsync"
  Health health = Health::kOk;
  std::string found;
  std::string fix;                                         // what to do, of kWarning and kBad
  base::ErrorKind kind = base::ErrorKind::kCommunication;  // of kBad: what a run would end with
};

/// Facts of one process and the machine it is on. Limits: nothing = unlimited.
struct RankFacts {
  std::int64_t world_rank = 0;
  std::int64_t node = 0;
  std::int64_t local_rank = 0;
  std::int64_t local_size = 1;
  std::string host;
  std::int64_t pid = 0;
  std::string build;
  std::string device;
  std::string device_id;  // of a GPU
  std::string device_advice;
  std::int64_t affinity_cores = 1;  // cores this process may use
  std::int64_t usable_cores = 1;    // of these, what the CPU time quota leaves
  std::int64_t machine_cores = 1;
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> locked_bytes;
  std::optional<std::uint64_t> file_bytes;
  std::optional<std::uint64_t> processes;
  bool has_infiniband = false;
  std::optional<std::uint64_t> shared_memory_bytes;  // free in /dev/shm; nothing: not there
  std::uint64_t memory_bytes = 0;  // that can still be had, cgroup limits included
  double utc_seconds = 0;          // when all ranks stood at the same barrier
  double clock_jump = 0;  // seconds by which the clock of the day ran off the steady one meanwhile

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("rank", self.world_rank);
    visit("host", self.host);
    visit("node", self.node);
    visit("local_rank", self.local_rank);
    visit("local_size", self.local_size);
    visit("pid", self.pid);
    visit("build", self.build);
    visit("device", self.device);
    visit("device_id", self.device_id);
    visit("device_advice", self.device_advice);
    visit("affinity_cores", self.affinity_cores);
    visit("usable_cores", self.usable_cores);
    visit("machine_cores", self.machine_cores);
    visit("limit_open_files", self.open_files);
    visit("limit_locked_bytes", self.locked_bytes);
    visit("limit_file_bytes", self.file_bytes);
    visit("limit_processes", self.processes);
    visit("has_infiniband", self.has_infiniband);
    visit("shared_memory_bytes", self.shared_memory_bytes);
    visit("memory_bytes", self.memory_bytes);
    visit("utc_seconds", self.utc_seconds);
    visit("clock_jump_seconds", self.clock_jump);
  }
};

/// Facts of the folder that runs go to.
struct PlaceFacts {
  std::string path;              // as asked for
  std::string tested_path;       // the nearest folder that exists
  std::int64_t file_system = 0;  // statfs' magic number
  std::string failed_step;       // "write", "fsync", ...; empty: all went well
  int failed_errno = 0;
  std::vector<double> fsync_seconds;  // of one MiB each
  int lock_errno = 0;                 // of the first flock
  bool second_lock_refused = false;   // as it must be
  std::uint64_t free_bytes = 0;
  std::optional<std::uint64_t> free_files;  // nothing: the file system does not count them
  double time_ahead = 0;  // of a new file's time over this machine's clock, seconds
};

/// The name of a statfs magic number, "type 0x..." for one that is not known.
std::string file_system_name(std::int64_t magic);

std::vector<Finding> judge_place(const PlaceFacts& place);
/// What hangs on one machine: cores, limits, /dev/shm, memory, clock.
std::vector<Finding> judge_machine(const RankFacts& facts);
/// `failure`: why there is no world.
Finding judge_launch(const comm::LaunchFacts& launch,
                     const std::vector<RankFacts>& ranks,
                     const std::optional<base::Error>& failure);
Finding judge_mpi(const std::string& compiled, const std::string& loaded);
Finding judge_pmix(const std::string& version, const comm::LaunchFacts& launch);
/// All ranks run the same build of the program.
Finding judge_builds(const std::vector<RankFacts>& ranks);
/// Their clocks agree.
Finding judge_clocks(const std::vector<RankFacts>& ranks);
/// No two share a GPU; `absence` is why there is none.
Finding judge_gpus(const std::vector<RankFacts>& ranks, const std::string& absence);

/// One row for what all machines have alike, else one for each machine that differs.
std::vector<Finding> merge_machines(const std::vector<std::string>& hosts,
                                    const std::vector<std::vector<Finding>>& findings);

/// 0, or the exit code of the first bad finding.
int doctor_exit_code(const std::vector<Finding>& findings);

/// The tables and what to do.
std::string doctor_text(const std::vector<Finding>& findings, const std::vector<RankFacts>& ranks);
base::OrderedJson doctor_json(const std::vector<Finding>& findings,
                              const std::vector<RankFacts>& ranks);

}  // namespace baton::doctor
