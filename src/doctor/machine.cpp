// The facts of one process and its machine.

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "baton/base/build.hpp"
#include "baton/config/cli.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/device.hpp"
#include "baton/device/host.hpp"
#include "baton/device/memory_facts.hpp"
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

double measure_clock_jump() {
  const double utc = device::utc_seconds();
  const double steady = steady_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return (device::utc_seconds() - utc) - (steady_seconds() - steady);
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
  facts.memory_bytes = device::memory_facts().free_bytes;
  facts.clock_jump = measure_clock_jump();
  return facts;
}

}  // namespace baton::doctor
