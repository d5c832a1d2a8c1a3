#pragma once
// One pre-norm decoder layer: x + attention(norm(x)), then + feed_forward(norm(x)); what is added may
// go through a norm of its own.

#include "attention.hpp"
#include "feed_forward.hpp"

namespace baton::model {

struct DecoderLayer {
  at::Tensor attention_norm;  // [D]
  AttentionWeights attention;
  at::Tensor attention_output_norm;  // [D], or undefined: none
  at::Tensor feed_forward_norm;      // [D]
  FeedForwardWeights feed_forward;
  at::Tensor feed_forward_output_norm;  // [D], or undefined: none
};

}  // namespace baton::model
