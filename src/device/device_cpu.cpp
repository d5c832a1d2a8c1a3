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
  const std::string driver = driver_version();
  return driver.empty() ? "this build has no GPU code"
                        : fmt::format(
                              "this build has no GPU code, although there is an NVIDIA driver {}; "
                              "launch/quickstart.sh --gpu builds it",
                              driver);
}

Device choose_device(int local_rank, int) {
  BATON_ASSERT(local_rank >= 0, fmt::format("local_rank = {}", local_rank));
  Device device = cpu_device();
  device.description += " (" + gpu_absence_reason() + ")";
  return device;
}

}  // namespace baton::device
