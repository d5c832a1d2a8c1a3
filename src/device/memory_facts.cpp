#include "baton/device/memory_facts.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "cgroup.hpp"

namespace baton::device {
namespace {

std::optional<std::uint64_t> number_in(const std::filesystem::path& path) {
  std::ifstream stream(path);
  std::uint64_t value = 0;
  return stream >> value ? std::optional(value) : std::nullopt;  // "max" is no number
}

void lower(std::optional<std::uint64_t>& least, std::uint64_t value) {
  least = std::min(least.value_or(value), value);
}

std::uint64_t available_on_machine() {
  std::uint64_t available = 0;
  std::ifstream stream("/proc/meminfo");
  for (std::string word; stream >> word;) {
    if (word == "MemAvailable:") {
      stream >> available;
      break;
    }
  }
  return available * 1024;  // the file counts KiB
}

std::uint64_t physical_memory() {
  const long num_pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  return num_pages <= 0 || page_bytes <= 0
             ? 0
             : static_cast<std::uint64_t>(num_pages) * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace

CgroupMemory cgroup_memory(const std::filesystem::path& root, std::string_view membership) {
  CgroupMemory memory;
  visit_cgroups(
      root, membership, "memory",
      [&memory](const std::filesystem::path& folder, CgroupVersion version) {
        const bool is_two = version == CgroupVersion::kTwo;
        const auto limit = number_in(folder / (is_two ? "memory.max" : "memory.limit_in_bytes"));
        const auto used = number_in(folder / (is_two ? "memory.current" : "memory.usage_in_bytes"));
        if (limit) {
          lower(memory.limit_bytes, *limit);
        }
        if (limit && used) {
          lower(memory.left_bytes, *limit - std::min(*limit, *used));
        }
      });
  return memory;
}

MemoryFacts memory_facts() {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership{std::istreambuf_iterator<char>(file), {}};
  const CgroupMemory limits = cgroup_memory("/sys/fs/cgroup", membership);
  MemoryFacts facts;
  facts.usable_bytes = physical_memory();
  facts.usable_bytes =
      std::min(facts.usable_bytes, limits.limit_bytes.value_or(facts.usable_bytes));
  facts.free_bytes = available_on_machine();
  facts.free_bytes = std::min(facts.free_bytes, limits.left_bytes.value_or(facts.free_bytes));
  return facts;
}

}  // namespace baton::device
