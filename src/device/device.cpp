#include "baton/device/device.hpp"

#include <fmt/format.h>

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
