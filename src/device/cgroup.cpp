#include "cgroup.hpp"

#include <fmt/format.h>

#include <sstream>
#include <string>

namespace baton::device {

void visit_cgroups(
    const std::filesystem::path& root,
    std::string_view membership,
    std::string_view controller,
    const std::function<void(const std::filesystem::path& folder, CgroupVersion version)>& visit) {
  std::istringstream lines{std::string(membership)};
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,cpuacct:/path", "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool is_two = controllers == ",,";
    if (!is_two && controllers.find(fmt::format(",{},", controller)) == std::string::npos) {
      continue;
    }
    const std::filesystem::path top = is_two ? root : root / controller;
    std::filesystem::path group = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (;;) {
      visit(top / group, is_two ? CgroupVersion::kTwo : CgroupVersion::kOne);
      if (group.empty()) {
        break;
      }
      group = group.parent_path();
    }
  }
}

}  // namespace baton::device
