#pragma once
// The control groups that this process is in, from its own up to the root: a batch system or a
// container may limit any of them, and the tightest counts. Versions 1 and 2.

#include <filesystem>
#include <functional>
#include <string_view>

namespace baton::device {

enum class CgroupVersion { kOne, kTwo };

/// Calls `visit` with the folder of each group that `controller` ("cpu", "memory") may limit.
/// `membership` is the text of /proc/self/cgroup, `root` /sys/fs/cgroup. Inside a container a path
/// may belong to a name space that is not visible; such folders do not exist.
void visit_cgroups(
    const std::filesystem::path& root,
    std::string_view membership,
    std::string_view controller,
    const std::function<void(const std::filesystem::path& folder, CgroupVersion version)>& visit);

}  // namespace baton::device
