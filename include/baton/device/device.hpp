#pragma once
// Where this process computes: the GPU that belongs to its place on the machine, or the CPU. Used
// by the commands to place the model and by comm to choose a backend. The CUDA runtime is seen by
// one source file.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "baton/base/error.hpp"

namespace baton::device {

enum class DeviceKind { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;            // of the GPU among those visible to the process; 0 on the CPU
  std::string name;         // "NVIDIA A100", "Intel(R) Xeon(R) ..."
  std::string unique_id;    // of a GPU: its UUID, the same however it is numbered; else empty
  std::string pci_address;  // of a GPU: "0000:3B:00.0"
  int num_visible = 0;      // GPUs visible to this process
  std::uint64_t memory_bytes = 0;  // of a GPU; 0 on the CPU
  std::string description;         // one line for the log, with the reason where it is the CPU
  std::string advice;              // what may be wrong with the way GPUs are shown; mostly empty
};

/// What decides which of the visible GPUs a rank takes.
struct GpuFacts {
  int num_visible = 0;
  int local_rank = 0;           // among the ranks of this machine
  int local_size = 0;           // ranks on this machine; 0: not known
  std::string visible_devices;  // CUDA_VISIBLE_DEVICES as it is set; empty: not set
};

struct GpuChoice {
  int index = -1;      // among the visible GPUs; -1: none is visible
  std::string how;     // in words, for the log
  std::string advice;  // see Device
};

/// Pure. All GPUs of the machine are shown: the one with the local rank's number. Each rank is
/// shown one: that. Fewer than ranks: local rank modulo GPUs, which shares GPUs unless each rank is
/// shown others; comm::check_one_rank_per_gpu finds that out.
GpuChoice choose_gpu(const GpuFacts& facts);

/// The GPU that choose_gpu picks, or the CPU where there is none. The description says why: no GPU
/// code in this build, no driver, no GPU visible.
Device choose_device(int local_rank, int local_size = 0);

/// The CPU, whatever GPUs there are.
Device cpu_device();

/// What is wrong where a GPU was chosen that LibTorch does not see (its CUDA part is missing, or
/// the driver is too old for it); nothing where it sees it or the CPU was chosen.
std::optional<base::Error> library_problem(const Device& device, bool library_sees_gpu);

/// The version of the machine's NVIDIA driver as its kernel module states it in `folder`; empty
/// where there is none.
std::string driver_version(const std::filesystem::path& folder = "/proc/driver/nvidia");

/// What is said where no GPU can be used. Pure.
struct GpuAbsence {
  std::string driver_version;  // as the kernel module states it; may be empty
  bool is_driver_missing = false;
  bool is_driver_old = false;
  std::string cuda_error;    // what the CUDA runtime says; empty: it counts zero GPUs
  std::string cuda_version;  // of the runtime, "13.0"
};
std::string absence_text(const GpuAbsence& absence);

/// Whether GPU code is part of this build.
bool cuda_compiled_in() noexcept;

/// GPUs visible to this process; 0 without a driver or without GPU code.
int num_gpus() noexcept;

/// Why num_gpus() is 0, in words; empty where it is not.
std::string gpu_absence_reason();

}  // namespace baton::device
