#pragma once
// Keys and values of a batch of rows of different lengths, layer by layer. Begins as a copy of what
// prompts left (PromptCache), then grows one token a row by decoding steps. A copy is explicit
// (select_rows).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "baton/model/prompt_cache.hpp"

namespace baton::model {

class KvCache {
 public:
  /// No rows.
  KvCache() = default;
  /// A row for each prompt, with room for `spare` tokens beyond the longest.
  KvCache(std::span<const SharedPrompt> prompts, std::int64_t spare);

  std::int64_t num_rows() const { return static_cast<std::int64_t>(lengths_.size()); }
  /// Tokens held per row.
  const std::vector<std::int64_t>& lengths() const { return lengths_; }

  /// Tokens that can be appended to every row before the cache must grow.
  std::int64_t room() const;

  /// A new cache with copies of these rows, in this order, trimmed to what they need: their longest
  /// and the room that is left.
  KvCache select_rows(const std::vector<std::int64_t>& rows) const;

 private:
  friend class CacheAccess;            // the decoder's own access, src/model
  std::int64_t spare_ = 0;             // room asked for at the start
  std::vector<std::int64_t> lengths_;  // [B]
  std::vector<at::Tensor> keys_;       // [L] of [B, K, capacity, E]
  std::vector<at::Tensor> values_;     // [L] of [B, K, capacity, E]
};

}  // namespace baton::model
