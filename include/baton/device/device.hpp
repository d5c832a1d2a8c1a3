#pragma once
// Where this process computes: the GPU that belongs to its place on the machine, or the CPU. Used
// by the commands to place the model and by comm to choose a backend. The CUDA runtime is seen by
// one source file.

#include <cstdint>
#include <string>

namespace baton::device {

enum class DeviceKind { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;                   // of the GPU among those visible to the process; 0 on the CPU
  std::string name;                // "NVIDIA A100", "Intel(R) Xeon(R) ..."
  std::string unique_id;           // of a GPU: its PCI address; empty on the CPU
  std::uint64_t memory_bytes = 0;  // of a GPU; 0 on the CPU
  std::string description;         // one line for the log, with the reason where it is the CPU
};

/// GPU number (local_rank modulo the visible GPUs), or the CPU where there is none. The description
/// says why: no GPU code in this build, no driver, no GPU visible.
Device choose_device(int local_rank);

/// The CPU, whatever GPUs there are.
Device cpu_device();

/// Whether GPU code is part of this build.
bool cuda_compiled_in() noexcept;

/// GPUs visible to this process; 0 without a driver or without GPU code.
int num_gpus() noexcept;

/// Why num_gpus() is 0, in words; empty where it is not.
std::string gpu_absence_reason();

}  // namespace baton::device
