#include "versions.hpp"

#include <torch/version.h>

namespace baton::app {

void add_library_versions(std::map<std::string, std::string>& versions) {
  versions["torch"] = TORCH_VERSION;
}

}  // namespace baton::app
