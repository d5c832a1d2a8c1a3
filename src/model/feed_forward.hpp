#pragma once
// The gated feed-forward block: down(silu(gate(x)) * up(x)) (SwiGLU, arXiv 2002.05202).

#include "lora_linear.hpp"

namespace baton::model {

struct FeedForwardWeights {
  FrozenLinear gate;  // [F, D]
  FrozenLinear up;    // [F, D]
  FrozenLinear down;  // [D, F]
};

/// x [N, D] -> [N, D].
at::Tensor feed_forward(const FeedForwardWeights& weights,
                        const at::Tensor& x,
                        const LayerContext& context);

}  // namespace baton::model
