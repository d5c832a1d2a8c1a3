#include "baton/experiment/versions.hpp"

#include <torch/version.h>

namespace baton::experiment {

void add_library_versions(std::map<std::string, std::string>& versions) {
  versions["torch"] = TORCH_VERSION;
}

}  // namespace baton::experiment
