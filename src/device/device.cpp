#include "baton/device/device.hpp"

#include <fmt/format.h>

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

}  // namespace baton::device
