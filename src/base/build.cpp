#include "baton/base/build.hpp"

#include "baton/base/sha256.hpp"

namespace baton::base {

std::string build_identity(const std::string& version) {
  // The link stays that of the file this process was started from, also when its name is replaced.
  return version + " " + sha256_file("/proc/self/exe").substr(0, 16);
}

}  // namespace baton::base
