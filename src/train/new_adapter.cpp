#include "baton/train/new_adapter.hpp"

#include <algorithm>
#include <cmath>

#include "baton/base/seed.hpp"

namespace baton::train {

std::vector<expert::NamedArray> new_adapter_arrays(const AdapterShape& shape, std::uint64_t seed) {
  std::vector<expert::NamedArray> arrays;
  const std::vector<std::string>& modules = expert::lora_target_names();
  for (std::int64_t layer = 0; layer < shape.num_layers; ++layer) {
    for (std::size_t module = 0; module < modules.size(); ++module) {
      if (std::find(shape.targets.begin(), shape.targets.end(), modules[module]) ==
          shape.targets.end()) {
        continue;
      }
      const auto [out, in] = shape.linears[module];
      expert::NamedArray a{expert::peft_key(layer, modules[module], 'A'), {shape.rank, in}, {}};
      expert::NamedArray b{expert::peft_key(layer, modules[module], 'B'), {out, shape.rank}, {}};
      base::Random random(base::seed_for(seed, {"lora_init", a.name}));
      const double bound = 1.0 / std::sqrt(static_cast<double>(in));
      a.values.resize(static_cast<std::size_t>(shape.rank * in));
      for (float& value : a.values) {
        value = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
      }
      b.values.assign(static_cast<std::size_t>(out * shape.rank), 0.0F);
      arrays.push_back(std::move(a));
      arrays.push_back(std::move(b));
    }
  }
  return arrays;
}

}  // namespace baton::train
