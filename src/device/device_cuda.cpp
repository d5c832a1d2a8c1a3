// The GPU half of device.hpp: the only file of this folder that sees the CUDA runtime.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <array>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/device/device.hpp"

namespace baton::device {
namespace {

struct GpuCount {
  int count = 0;
  cudaError_t status = cudaSuccess;
};

GpuCount count_gpus() noexcept {
  GpuCount gpus;
  gpus.status = cudaGetDeviceCount(&gpus.count);
  if (gpus.status != cudaSuccess) {
    cudaGetLastError();  // a missing driver must not show up in a later, unrelated check
    gpus.count = 0;
  }
  return gpus;
}

}  // namespace

bool cuda_compiled_in() noexcept {
  return true;
}

int num_gpus() noexcept {
  return count_gpus().count;
}

std::string gpu_absence_reason() {
  const GpuCount gpus = count_gpus();
  if (gpus.count > 0) {
    return "";
  }
  if (gpus.status == cudaSuccess) {
    return "no GPU is visible to this process";
  }
  return fmt::format("no GPU: {}", cudaGetErrorString(gpus.status));
}

Device choose_device(int local_rank) {
  BATON_ASSERT(local_rank >= 0, fmt::format("local_rank = {}", local_rank));
  const int count = num_gpus();
  if (count == 0) {
    Device device = cpu_device();
    device.description += " (" + gpu_absence_reason() + ")";
    return device;
  }
  Device device;
  device.kind = DeviceKind::kCuda;
  device.index = local_rank % count;
  cudaDeviceProp properties{};
  std::array<char, 32> address{};
  cudaError_t status = cudaGetDeviceProperties(&properties, device.index);
  if (status == cudaSuccess) {
    status = cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device.index);
  }
  if (status != cudaSuccess) {
    throw base::Error(
        base::ErrorKind::kCommunication, "a GPU does not answer",
        {.where = fmt::format("GPU {} of {}", device.index, count),
         .found = cudaGetErrorString(status),
         .fix = "look at nvidia-smi; hide the GPU with CUDA_VISIBLE_DEVICES to go on without it"});
  }
  device.name = properties.name;
  device.unique_id = address.data();
  device.memory_bytes = properties.totalGlobalMem;
  device.description = fmt::format("GPU {} of {}: {}, {}, compute capability {}.{}", device.index,
                                   count, device.name, base::format_bytes(device.memory_bytes),
                                   properties.major, properties.minor);
  return device;
}

}  // namespace baton::device
