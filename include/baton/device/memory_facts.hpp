#pragma once
// The memory that this process may use and what of it is free: the machine's, or less where a
// container or a batch job limits it. Used by the plan and the doctor.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace baton::device {

struct MemoryFacts {
  std::uint64_t usable_bytes = 0;  // 0: not known
  std::uint64_t free_bytes = 0;
};

MemoryFacts memory_facts();

/// The least limit, and the least that is left under one, of all enclosing control groups; nothing
/// where none has a limit.
struct CgroupMemory {
  std::optional<std::uint64_t> limit_bytes;
  std::optional<std::uint64_t> left_bytes;
};

/// `membership` is the text of /proc/self/cgroup, `root` /sys/fs/cgroup.
CgroupMemory cgroup_memory(const std::filesystem::path& root, std::string_view membership);

}  // namespace baton::device
