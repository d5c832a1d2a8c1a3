#include "baton/device/device.hpp"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "baton/base/error.hpp"
#include "baton/device/cpu_facts.hpp"

namespace baton::device {

Device cpu_device() {
  const CpuFacts facts = cpu_facts();
  Device device;
  device.name = facts.model_name.empty() ? "CPU" : facts.model_name;
  device.description = fmt::format("CPU: {}, {} usable cores, {}", device.name, facts.usable_cores,
                                   facts.instruction_set);
  return device;
}

std::optional<base::Error> library_problem(const Device& device, bool library_sees_gpu) {
  if (device.kind == DeviceKind::kCpu || library_sees_gpu) {
    return std::nullopt;
  }
  return base::Error(
      base::ErrorKind::kUsage, "there is a GPU, but LibTorch cannot compute on it",
      {.where = device.description,
       .expected = "a LibTorch with CUDA, and a driver that is new enough for it",
       .found = "LibTorch sees no GPU: its CUDA part is missing or does not fit the driver",
       .fix = "build again with launch/quickstart.sh --gpu (launch/README.md has the ways for an "
              "older driver), or hide the GPU to compute on the CPU: CUDA_VISIBLE_DEVICES= "});
}

std::string driver_version(const std::filesystem::path& folder) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sat Aug 19 ...": the first word
  // that is a number of three digits or more with a point.
  std::ifstream file(folder / "version");
  std::string line;
  std::getline(file, line);
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    if (word.find('.') >= 3 && word.find('.') != std::string::npos &&
        word.find_first_not_of("0123456789.") == std::string::npos) {
      return word;
    }
  }
  return "";
}

std::string absence_text(const GpuAbsence& absence) {
  if (absence.is_driver_missing) {
    return "no GPU";
  }
  const std::string driver =
      absence.driver_version.empty() ? "" : " (NVIDIA driver " + absence.driver_version + ")";
  if (absence.is_driver_old) {
    return fmt::format("no GPU: the driver is too old for CUDA {}{}", absence.cuda_version, driver);
  }
  return absence.cuda_error.empty() ? "no GPU is visible to this process"
                                    : fmt::format("no GPU: {}{}", absence.cuda_error, driver);
}

GpuChoice choose_gpu(const GpuFacts& facts) {
  BATON_ASSERT(facts.local_rank >= 0 && facts.num_visible >= 0,
               fmt::format("local rank {}, {} GPUs", facts.local_rank, facts.num_visible));
  GpuChoice choice;
  if (facts.num_visible == 0) {
    choice.how = "no GPU is visible";
    return choice;
  }
  choice.index = facts.local_rank % facts.num_visible;
  if (facts.num_visible == 1) {
    choice.how = "the only one visible";
  } else {
    choice.how = fmt::format("local rank {} of {} visible", facts.local_rank, facts.num_visible);
  }
  if (!facts.visible_devices.empty()) {
    choice.how += ", CUDA_VISIBLE_DEVICES=" + facts.visible_devices;
  }
  if (facts.num_visible >= facts.local_size) {
    return choice;
  }
  if (facts.num_visible == 1) {
    choice.advice = fmt::format(
        "this rank is shown one GPU and has {} neighbours on its machine: direct copies between "
        "their GPUs may be off; let every task see all GPUs (srun --gpu-bind=none, "
        "--gpus-per-node instead of --gpus-per-task)",
        facts.local_size - 1);
  } else {
    choice.advice = fmt::format("{} GPUs are visible and {} ranks run on this machine",
                                facts.num_visible, facts.local_size);
  }
  return choice;
}

}  // namespace baton::device
