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

#include "cgroup.hpp"

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

/// What /proc/cpuinfo says of the first processor: to say it of all of them takes the kernel long.
std::string first_processor() {
  std::ifstream file("/proc/cpuinfo");
  std::string text;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    text += line + '\n';
  }
  return text;
}

/// The value after "name\t: " of the first line that starts with `name`.
std::string cpuinfo_value(std::string_view cpuinfo, const std::string& name) {
  std::istringstream lines{std::string(cpuinfo)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with(name) && colon != std::string::npos) {
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

}  // namespace

std::optional<double> cgroup_cores(const std::filesystem::path& root, std::string_view membership) {
  std::optional<double> least;
  visit_cgroups(root, membership, "cpu",
                [&least](const std::filesystem::path& folder, CgroupVersion version) {
                  const auto quota =
                      version == CgroupVersion::kTwo ? quota_v2(folder) : quota_v1(folder);
                  if (quota) {
                    least = std::min(least.value_or(*quota), *quota);
                  }
                });
  return least;
}

std::vector<std::string> cpu_extensions(std::string_view cpuinfo) {
  static constexpr std::array<const char*, 16> kExtensions{
      "avx2",        "fma",         "avx512f",     "avx512dq", "avx512bw", "avx512vl",
      "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "amx_fp16",
      "asimd",       "bf16",        "sve",         "sve2"};
  const std::string x86_flags = cpuinfo_value(cpuinfo, "flags");
  std::istringstream words(x86_flags.empty() ? cpuinfo_value(cpuinfo, "Features") : x86_flags);
  const std::set<std::string> present{std::istream_iterator<std::string>(words),
                                      std::istream_iterator<std::string>()};
  std::vector<std::string> found;
  std::copy_if(kExtensions.begin(), kExtensions.end(), std::back_inserter(found),
               [&present](const char* name) { return present.contains(name); });
  return found;
}

std::string short_instruction_set(std::span<const std::string> extensions) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kNames{
      {{"avx2", "avx2"},
       {"avx512f", "avx512"},
       {"avx512_bf16", "avx512_bf16"},
       {"amx_bf16", "amx_bf16"},
       {"asimd", "neon"},
       {"bf16", "neon_bf16"}}};
  std::string result;
  for (const auto& [extension, name] : kNames) {
    if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end()) {
      result.append(result.empty() ? "" : "+").append(name);
    }
  }
  return result.empty() ? "generic" : result;
}

CpuFacts cpu_facts() {
  const std::string cpuinfo = first_processor();
  CpuFacts facts;
  facts.model_name = cpuinfo_value(cpuinfo, "model name");
  facts.affinity_cores = affinity_cores();
  facts.cgroup_cores = cgroup_cores("/sys/fs/cgroup", read_all("/proc/self/cgroup"));
  facts.usable_cores = facts.affinity_cores;
  if (facts.cgroup_cores) {
    // The tolerance keeps a quota of 2.0000001 from becoming three cores.
    const double whole = std::ceil(*facts.cgroup_cores - 0.01);
    facts.usable_cores = static_cast<int>(std::clamp(whole, 1.0, double(facts.affinity_cores)));
  }
  facts.instruction_set = short_instruction_set(cpu_extensions(cpuinfo));
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
