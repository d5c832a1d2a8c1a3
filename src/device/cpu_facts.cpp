#include "baton/device/cpu_facts.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace baton::device {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int affinity_cores() {
  // Machines with more than CPU_SETSIZE cores need a larger mask than cpu_set_t.
  for (int capacity = CPU_SETSIZE; capacity <= (1 << 20); capacity *= 2) {
    cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(capacity));
    if (mask == nullptr) {
      break;
    }
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(capacity));
    const bool known = sched_getaffinity(0, bytes, mask) == 0;
    const int count = known ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (known && count > 0) {
      return count;
    }
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// The value after "name\t: " of the first line of /proc/cpuinfo that starts with `name`.
std::string cpuinfo_value(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (line.rfind(name, 0) == 0 && colon != std::string::npos) {
      return colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    }
  }
  return "";
}

/// Version 2: "MAX PERIOD" in microseconds, MAX may be the word "max".
std::optional<double> quota_v2(const std::filesystem::path& folder) {
  std::istringstream text(read_all(folder / "cpu.max"));
  std::string quota;
  double period = 0;
  if (!(text >> quota >> period) || quota == "max" || period <= 0) {
    return std::nullopt;
  }
  std::istringstream number(quota);
  double value = 0;
  return (number >> value) && value > 0 ? std::optional(value / period) : std::nullopt;
}

/// Version 1: two files; a quota of -1 is none.
std::optional<double> quota_v1(const std::filesystem::path& folder) {
  std::istringstream quota_text(read_all(folder / "cpu.cfs_quota_us"));
  std::istringstream period_text(read_all(folder / "cpu.cfs_period_us"));
  double quota = 0;
  double period = 0;
  if (!(quota_text >> quota) || !(period_text >> period) || quota <= 0 || period <= 0) {
    return std::nullopt;
  }
  return quota / period;
}

/// The tightest quota from `path` under `root` up to `root` itself. Inside a container the path may
/// belong to a name space that is not visible; its missing folders then count as unlimited.
template <typename ReadQuota>
std::optional<double> tightest(const std::filesystem::path& root,
                               const std::filesystem::path& path,
                               ReadQuota read_quota) {
  std::optional<double> tightest_quota;
  std::filesystem::path relative = path.relative_path();
  for (;;) {
    if (const auto quota = read_quota(root / relative)) {
      tightest_quota = std::min(tightest_quota.value_or(*quota), *quota);
    }
    if (relative.empty()) {
      return tightest_quota;
    }
    relative = relative.parent_path();
  }
}

}  // namespace

std::optional<double> cgroup_cores(const std::filesystem::path& root, std::string_view membership) {
  std::optional<double> result;
  std::istringstream lines{std::string(membership)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const std::filesystem::path path = line.substr(second + 1);
    std::optional<double> quota;
    if (controllers == ",,") {
      quota = tightest(root, path, quota_v2);
    } else if (controllers.find(",cpu,") != std::string::npos) {
      quota = tightest(root / "cpu", path, quota_v1);
    }
    if (quota) {
      result = std::min(result.value_or(*quota), *quota);
    }
  }
  return result;
}

std::string instruction_set_from_flags(std::string_view flags) {
  std::istringstream words{std::string(flags)};
  const std::set<std::string> present{std::istream_iterator<std::string>(words),
                                      std::istream_iterator<std::string>()};
  constexpr std::array<std::pair<const char*, const char*>, 6> kNames{
      {{"avx2", "avx2"},
       {"avx512f", "avx512"},
       {"avx512_bf16", "avx512_bf16"},
       {"amx_bf16", "amx_bf16"},
       {"asimd", "neon"},
       {"bf16", "neon_bf16"}}};
  std::string result;
  for (const auto& [flag, name] : kNames) {
    if (present.contains(flag)) {
      result.append(result.empty() ? "" : "+").append(name);
    }
  }
  return result.empty() ? "generic" : result;
}

CpuFacts cpu_facts() {
  CpuFacts facts;
  facts.model_name = cpuinfo_value("model name");
  facts.affinity_cores = affinity_cores();
  facts.cgroup_cores = cgroup_cores("/sys/fs/cgroup", read_all("/proc/self/cgroup"));
  facts.usable_cores = facts.affinity_cores;
  if (facts.cgroup_cores) {
    // The tolerance keeps a quota of 2.0000001 from becoming three cores.
    const double whole = std::ceil(*facts.cgroup_cores - 0.01);
    facts.usable_cores = static_cast<int>(std::clamp(whole, 1.0, double(facts.affinity_cores)));
  }
  const std::string x86_flags = cpuinfo_value("flags");
  facts.instruction_set =
      instruction_set_from_flags(x86_flags.empty() ? cpuinfo_value("Features") : x86_flags);
  return facts;
}

int usable_cores() {
  return cpu_facts().usable_cores;
}

bool has_fast_bf16() {
  return has_fast_bf16(cpu_facts().instruction_set);
}

bool has_fast_bf16(std::string_view instruction_set) {
  // The Arm name is left out, nothing was measured there.
  return instruction_set.find("avx512_bf16") != std::string_view::npos ||
         instruction_set.find("amx_bf16") != std::string_view::npos;
}

}  // namespace baton::device
