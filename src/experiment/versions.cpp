#include "baton/experiment/versions.hpp"

#include <ATen/Context.h>
#include <torch/version.h>

namespace baton::experiment {

void add_library_versions(std::map<std::string, std::string>& versions) {
  versions["torch"] = TORCH_VERSION;
}

bool torch_sees_gpu() {
  return at::hasCUDA();
}

}  // namespace baton::experiment
