#pragma once
// Causal self-attention with grouped key/value heads (arXiv 2305.13245), over packed rows or over a
// cache.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "baton/model/kv_cache.hpp"
#include "lora_linear.hpp"
#include "rope.hpp"

namespace baton::model {

struct AttentionWeights {
  FrozenLinear q;           // [H*E, D]
  FrozenLinear k;           // [K*E, D]
  FrozenLinear v;           // [K*E, D]
  FrozenLinear o;           // [D, H*E]
  at::Tensor query_norm;    // [E], or undefined: none
  at::Tensor key_norm;      // [E], likewise
  std::int64_t window = 0;  // keys a token sees, itself included; 0: all before it
};

/// What all layers share.
struct AttentionSettings {
  std::int64_t num_heads = 0;     // H
  std::int64_t num_kv_heads = 0;  // K
  std::int64_t head_dim = 0;      // E
  double norm_eps = 0;            // of the norms of queries and keys
  std::optional<double> scale;    // of scores; none: 1 / sqrt(E)
  std::optional<double> cap;      // scores become cap x tanh(score / cap)
};

/// What the rows of a pass stand on, and the keys and values that are kept of prefix and row, layer
/// after layer.
struct RowCaches {
  std::span<const SharedPrompt> prefixes;  // [B] or empty
  bool keeps = false;
  std::vector<std::vector<at::Tensor>> keys;    // [B] of [L] of [K, T, E]
  std::vector<std::vector<at::Tensor>> values;  // [B] of [L] of [K, T, E]

  const PromptCache* prefix_of(std::size_t row) const {
    return prefixes.empty() ? nullptr : prefixes[row].get();
  }
};

/// x [N, D] of packed rows -> [N, D]: each token sees its row's prefix and the row up to itself, as
/// far back as the window goes.
at::Tensor attend_rows(const AttentionWeights& weights,
                       const AttentionSettings& settings,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       RowCaches& caches);

/// x [B, D], one new token a row -> [B, D]; reads and extends layer `context.layer` of the cache.
/// `mask` [B, 1, 1, longest] is 0 where a row has a key inside the window and -inf elsewhere, the
/// new token included.
at::Tensor attend_step(const AttentionWeights& weights,
                       const AttentionSettings& settings,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       KvCache& cache,
                       const at::Tensor& mask);

}  // namespace baton::model
