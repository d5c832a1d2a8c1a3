#pragma once
// The gated feed-forward block: down(activation(gate(x)) * up(x)) (SwiGLU, GEGLU: arXiv 2002.05202).

#include "baton/weights/decoder_config.hpp"
#include "lora_linear.hpp"

namespace baton::model {

struct FeedForwardWeights {
  FrozenLinear gate;  // [F, D]
  FrozenLinear up;    // [F, D]
  FrozenLinear down;  // [D, F]
  weights::Activation activation = weights::Activation::kSilu;
};

/// x [N, D] -> [N, D].
at::Tensor feed_forward(const FeedForwardWeights& weights,
                        const at::Tensor& x,
                        const LayerContext& context);

}  // namespace baton::model
