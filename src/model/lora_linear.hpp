#pragma once
// A frozen linear and what the adapters in use add to it (AdapterUse).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "baton/model/adapter_use.hpp"

namespace baton::model {

struct FrozenLinear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined
};

/// What the linears of one layer need to know of the pass they are in.
struct LayerContext {
  const AdapterUses* adapters = nullptr;  // null: the base alone
  std::int64_t layer = 0;
  const DropoutKey* dropout = nullptr;                 // null: no dropout
  const std::vector<std::int64_t>* offsets = nullptr;  // row borders of the packed tokens
};

/// x [N, in] -> [N, out]. `linear_index` is the position in expert::lora_target_names().
at::Tensor apply_linear(const FrozenLinear& linear,
                        const at::Tensor& x,
                        const LayerContext& context,
                        int linear_index);

}  // namespace baton::model
