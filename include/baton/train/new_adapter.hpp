#pragma once
// A fresh adapter as PEFT initialises it: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B
// zero. Each A has a stream of its own, named by its PEFT key.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::train {

struct AdapterShape {
  std::int64_t num_layers = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>>
      linears;                       // (out, in) of the seven linears of a layer
  std::vector<std::string> targets;  // which of them get factors
  std::int64_t rank = 0;
};

/// Arrays in file order (layer, module in lora_target_names() order, A then B).
std::vector<expert::NamedArray> new_adapter_arrays(const AdapterShape& shape, std::uint64_t seed);

}  // namespace baton::train
