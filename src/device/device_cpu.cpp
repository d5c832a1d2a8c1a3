// The GPU half of device.hpp in a build without a CUDA toolkit.
#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/device/device.hpp"

namespace baton::device {

bool cuda_compiled_in() noexcept {
  return false;
}

int num_gpus() noexcept {
  return 0;
}

std::string gpu_absence_reason() {
  return "this build has no GPU code";
}

Device choose_device(int local_rank, int) {
  BATON_ASSERT(local_rank >= 0, fmt::format("local_rank = {}", local_rank));
  Device device = cpu_device();
  device.description += " (" + gpu_absence_reason() + ")";
  return device;
}

}  // namespace baton::device
