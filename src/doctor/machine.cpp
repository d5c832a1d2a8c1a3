// The facts of one process and its machine.

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <thread>

#include "baton/base/build.hpp"
#include "baton/config/cli.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/device.hpp"
#include "baton/device/host.hpp"
#include "facts.hpp"

namespace baton::doctor {

namespace {

std::optional<std::uint64_t> limit_of(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  return limit.rlim_cur;
}

std::optional<std::uint64_t> number_in(const std::filesystem::path& path) {
  std::ifstream stream(path);
  std::uint64_t value = 0;
  return stream >> value ? std::optional(value) : std::nullopt;  // "max" is no number
}

/// The file `name` of the tightest memory group this process is in: version 2, then version 1.
std::optional<std::uint64_t> free_in_cgroup() {
  std::optional<std::uint64_t> least;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    const std::size_t colon = line.rfind(':');
    const bool second_version = line.starts_with("0::");
    if (colon == std::string::npos ||
        (!second_version && line.find(":memory:") == std::string::npos)) {
      continue;
    }
    const std::filesystem::path root = second_version ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    std::filesystem::path group = std::filesystem::path(line.substr(colon + 1)).relative_path();
    while (true) {
      const auto limit =
          number_in(root / group / (second_version ? "memory.max" : "memory.limit_in_bytes"));
      const auto used =
          number_in(root / group / (second_version ? "memory.current" : "memory.usage_in_bytes"));
      if (limit && used) {
        const std::uint64_t left = *limit > *used ? *limit - *used : 0;
        least = std::min(least.value_or(left), left);
      }
      if (group.empty()) {
        break;
      }
      group = group.parent_path();
    }
  }
  return least;
}

std::uint64_t free_memory() {
  std::uint64_t available = 0;
  std::ifstream stream("/proc/meminfo");
  for (std::string word; stream >> word;) {
    if (word == "MemAvailable:") {
      stream >> available;
      break;
    }
  }
  available *= 1024;  // the file counts KiB
  return std::min(available, free_in_cgroup().value_or(available));
}

std::optional<std::uint64_t> free_shared_memory() {
  struct statvfs space {};
  if (::statvfs("/dev/shm", &space) != 0 || ::access("/dev/shm", W_OK) != 0) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double utc_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double measure_clock_jump() {
  const double utc = utc_seconds();
  const double steady = steady_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return (utc_seconds() - utc) - (steady_seconds() - steady);
}

RankFacts gather_rank_facts(int local_rank, int local_size) {
  RankFacts facts;
  facts.local_rank = local_rank;
  facts.local_size = local_size;
  facts.host = device::host_name();
  facts.pid = ::getpid();
  facts.build = base::build_identity(config::version());
  const device::Device device = device::choose_device(local_rank, local_size);
  facts.device = device.description;
  facts.device_id = device.unique_id;
  facts.device_advice = device.advice;
  const device::CpuFacts cpu = device::cpu_facts();
  facts.affinity_cores = cpu.affinity_cores;
  facts.usable_cores = cpu.usable_cores;
  facts.machine_cores = std::max<std::int64_t>(::sysconf(_SC_NPROCESSORS_ONLN), 1);
  facts.open_files = limit_of(RLIMIT_NOFILE);
  facts.locked_bytes = limit_of(RLIMIT_MEMLOCK);
  facts.file_bytes = limit_of(RLIMIT_FSIZE);
  facts.processes = limit_of(RLIMIT_NPROC);
  std::error_code ignored;
  facts.has_infiniband = std::filesystem::exists("/sys/class/infiniband", ignored) &&
                         !std::filesystem::is_empty("/sys/class/infiniband", ignored);
  facts.shared_memory_bytes = free_shared_memory();
  facts.memory_bytes = free_memory();
  facts.clock_jump = measure_clock_jump();
  return facts;
}

}  // namespace baton::doctor
