#include "baton/model/adapter.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "baton/base/error.hpp"

namespace baton::model {

namespace {

[[noreturn]] void refuse(const std::string& where,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(base::ErrorKind::kModel, "an expert does not fit the base model",
                    {.where = where,
                     .expected = expected,
                     .found = found,
                     .fix = "use the base model the expert was trained on"});
}

at::Tensor to_tensor(const expert::NamedArray& array, const at::Device& device) {
  std::int64_t count = 1;
  for (const std::int64_t size : array.shape) {
    count *= size;
  }
  if (count != static_cast<std::int64_t>(array.values.size())) {
    refuse(array.name, fmt::format("{} values", count),
           fmt::format("{} values", array.values.size()));
  }
  return at::tensor(array.values, at::kFloat).view(array.shape).to(device);
}

std::vector<float> to_values(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return {host.data_ptr<float>(), host.data_ptr<float>() + host.numel()};
}

}  // namespace

Adapter adapter_from_state(const expert::ExpertState& state,
                           std::int64_t num_layers,
                           const at::Device& device) {
  Adapter adapter;
  adapter.name = state.task;
  adapter.rank = state.lora_rank;
  adapter.alpha = state.lora_alpha;
  adapter.dropout = state.lora_dropout;
  adapter.layers.resize(static_cast<std::size_t>(num_layers));
  std::map<std::string, const expert::NamedArray*> arrays;
  for (const expert::NamedArray& array : state.arrays) {
    arrays[array.name] = &array;
  }
  const std::vector<std::string>& modules = expert::lora_target_names();
  std::size_t num_used = 0;
  for (std::int64_t layer = 0; layer < num_layers; ++layer) {
    for (std::size_t module = 0; module < modules.size(); ++module) {
      const auto a = arrays.find(expert::peft_key(layer, modules[module], 'A'));
      const auto b = arrays.find(expert::peft_key(layer, modules[module], 'B'));
      if (a == arrays.end() && b == arrays.end()) {
        continue;
      }
      if (a == arrays.end() || b == arrays.end()) {
        refuse(expert::peft_key(layer, modules[module], 'A'), "both factors A and B",
               "one of them");
      }
      if (a->second->shape.size() != 2 || b->second->shape.size() != 2 ||
          a->second->shape[0] != adapter.rank || b->second->shape[1] != adapter.rank) {
        refuse(a->first, fmt::format("factors of rank {}", adapter.rank),
               fmt::format("shapes [{}] and [{}]", fmt::join(a->second->shape, ", "),
                           fmt::join(b->second->shape, ", ")));
      }
      LoraFactors& factors = adapter.layers[static_cast<std::size_t>(layer)][module];
      factors.a = to_tensor(*a->second, device);
      factors.b = to_tensor(*b->second, device);
      num_used += 2;
    }
  }
  if (num_used != state.arrays.size()) {
    refuse(state.task, fmt::format("arrays of {} layers only", num_layers),
           fmt::format("{} arrays, of which {} fit", state.arrays.size(), num_used));
  }
  return adapter;
}

std::vector<expert::NamedArray> arrays_of(const Adapter& adapter) {
  std::vector<expert::NamedArray> arrays;
  const std::vector<std::string>& modules = expert::lora_target_names();
  for (std::size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (std::size_t module = 0; module < modules.size(); ++module) {
      const LoraFactors& factors = adapter.layers[layer][module];
      if (!factors.a.defined()) {
        continue;
      }
      const auto index = static_cast<std::int64_t>(layer);
      arrays.push_back({expert::peft_key(index, modules[module], 'A'), factors.a.sizes().vec(),
                        to_values(factors.a)});
      arrays.push_back({expert::peft_key(index, modules[module], 'B'), factors.b.sizes().vec(),
                        to_values(factors.b)});
    }
  }
  return arrays;
}

}  // namespace baton::model
