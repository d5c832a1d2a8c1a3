#pragma once
// Facts about the CPU that decide defaults: cores this process may really use, and the instruction
// sets that make bf16 products fast. Used by the commands (threads per rank, dtype = auto), comm
// and the run record.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::device {

struct CpuFacts {
  std::string model_name;
  int affinity_cores = 1;  // cores in the process's scheduling mask
  std::optional<double>
      cgroup_cores;             // CPU time quota in cores, the tightest of all enclosing groups
  int usable_cores = 1;         // min(affinity, quota rounded up), at least 1
  std::string instruction_set;  // e.g. "avx2+avx512+avx512_bf16+amx_bf16"; "generic" without any
};

CpuFacts cpu_facts();

/// cpu_facts().usable_cores.
int usable_cores();

/// AVX512-BF16 or AMX-BF16: bf16 matrix products are then several times faster than fp32.
bool has_fast_bf16();
/// The same of a CPU with these extensions, in words with blanks or "+" between them.
bool has_fast_bf16(std::string_view instruction_set);

/// The vector extensions that can change floating-point results, by the kernel's names and in a
/// fixed order, from the text of a /proc/cpuinfo.
std::vector<std::string> cpu_extensions(std::string_view cpuinfo);

/// Those that decide about speed, joined by "+", as they are shown to people.
std::string short_instruction_set(std::span<const std::string> extensions);

/// The tightest CPU quota in cores of the groups named by `membership` (the text of
/// /proc/self/cgroup) under `root` (/sys/fs/cgroup), version 1 or 2; nothing where none is set.
std::optional<double> cgroup_cores(const std::filesystem::path& root, std::string_view membership);

}  // namespace baton::device
