#pragma once
// LoRA adapters (arXiv 2106.09685). An adapter may touch any of the seven linears and any subset of
// the layers. Factors are fp32 whatever the base's dtype. Where and with which weight it acts in a
// pass is AdapterUse.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::model {

/// The factors on one linear.
struct LoraFactors {
  at::Tensor a;  // [R, in] fp32
  at::Tensor b;  // [out, R] fp32
};

/// The seven linears of a layer, in the order of expert::lora_target_names().
inline constexpr int kNumLinears = 7;

struct Adapter {
  std::string name;
  std::int64_t rank = 0;  // R
  double alpha = 0;
  double dropout = 0;
  std::vector<std::array<LoraFactors, kNumLinears>>
      layers;  // [L]; undefined tensors where it does not touch

  double scale() const { return alpha / static_cast<double>(rank); }
};

/// A view of an expert's arrays on a device. Shapes that do not fit the sizes of the model: kModel
/// error.
Adapter adapter_from_state(const expert::ExpertState& state,
                           std::int64_t num_layers,
                           const at::Device& device);

/// The adapter's factors as named arrays, in file order.
std::vector<expert::NamedArray> arrays_of(const Adapter& adapter);

/// Names the dropout masks of a pass: (seed, expert) in `seed`, the update, and per packed row its
/// row_index.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::vector<std::int64_t> row_indices;  // [B]
};

}  // namespace baton::model
