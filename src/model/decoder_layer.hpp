#pragma once
// One pre-norm decoder layer: x + attention(norm(x)), then + feed_forward(norm(x)).

#include "attention.hpp"
#include "feed_forward.hpp"

namespace baton::model {

struct DecoderLayer {
  at::Tensor attention_norm;  // [D]
  AttentionWeights attention;
  at::Tensor feed_forward_norm;  // [D]
  FeedForwardWeights feed_forward;
};

}  // namespace baton::model
