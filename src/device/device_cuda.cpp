// The GPU half of device.hpp: the only file of this folder that sees the CUDA runtime.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>

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

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (const char byte : uuid.bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
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
  GpuAbsence absence;
  absence.driver_version = driver_version();
  absence.cuda_error = gpus.status == cudaSuccess ? "" : cudaGetErrorString(gpus.status);
  absence.cuda_version = fmt::format("{}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  // A machine without a driver is answered as one whose driver is too old.
  int driver = 0;
  absence.is_driver_old = gpus.status == cudaErrorInsufficientDriver;
  absence.is_driver_missing =
      absence.is_driver_old && (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0);
  cudaGetLastError();
  return absence_text(absence);
}

Device choose_device(int local_rank, int local_size) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const GpuFacts facts{num_gpus(), local_rank, local_size, visible == nullptr ? "" : visible};
  const GpuChoice choice = choose_gpu(facts);
  if (choice.index < 0) {
    Device device = cpu_device();
    const std::string reason = gpu_absence_reason();
    device.description += " (" + reason + ")";
    // A driver is there for its GPUs: computing on the CPU beside them is worth a warning.
    device.advice = driver_version().empty() || visible != nullptr ? "" : reason;
    return device;
  }
  Device device;
  device.kind = DeviceKind::kCuda;
  device.index = choice.index;
  device.num_visible = facts.num_visible;
  device.advice = choice.advice;
  cudaDeviceProp properties{};
  std::array<char, 32> address{};
  cudaError_t status = cudaGetDeviceProperties(&properties, device.index);
  if (status == cudaSuccess) {
    status = cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device.index);
  }
  if (status != cudaSuccess) {
    throw base::Error(
        base::ErrorKind::kCommunication, "a GPU does not answer",
        {.where = fmt::format("GPU {} of {}", device.index, facts.num_visible),
         .found = cudaGetErrorString(status),
         .fix = "look at nvidia-smi; hide the GPU with CUDA_VISIBLE_DEVICES to go on without it"});
  }
  device.name = properties.name;
  device.unique_id = uuid_text(properties.uuid);
  device.pci_address = address.data();
  device.memory_bytes = properties.totalGlobalMem;
  device.description = fmt::format("GPU {} of {} ({}): {}, {}, compute capability {}.{}, at {}",
                                   device.index, facts.num_visible, choice.how, device.name,
                                   base::format_bytes(device.memory_bytes), properties.major,
                                   properties.minor, device.pci_address);
  return device;
}

}  // namespace baton::device
