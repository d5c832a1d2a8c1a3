#pragma once
// Rotary position embedding (arXiv 2104.09864) in the half-split layout of Hugging Face Llama
// models, with the "linear" and "llama3" frequency scalings.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "baton/weights/decoder_config.hpp"

namespace baton::model {

/// cos and sin of a list of positions, each [N, 1, E / 2] fp32.
struct RopeAngles {
  at::Tensor cosines;
  at::Tensor sines;
};

class RopeTable {
 public:
  /// The table of layers that see all tokens, or (of_windows) of those with a window, where these
  /// have a base of their own.
  RopeTable(const weights::DecoderConfig& config,
            const at::Device& device,
            bool of_windows = false);
  /// positions [N] int64.
  RopeAngles angles(const at::Tensor& positions) const;

 private:
  at::Tensor inverse_frequencies_;  // [E / 2] fp32
};

/// x [N, heads, E] -> rotated, same shape and dtype. Differentiable in x.
at::Tensor apply_rope(const at::Tensor& x, const RopeAngles& angles);

}  // namespace baton::model
