#pragma once
// Keys and values of a batch of rows of different lengths, layer by layer. Filled by a prefill over
// packed rows, then grown one token a row by decoding steps. A copy is explicit (select_rows).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace baton::model {

class KvCache {
 public:
  /// Room for `spare` tokens beyond each prefill.
  explicit KvCache(std::int64_t spare) : spare_(spare) {}

  std::int64_t num_rows() const { return static_cast<std::int64_t>(lengths_.size()); }
  /// Tokens held per row.
  const std::vector<std::int64_t>& lengths() const { return lengths_; }

  /// A new cache with copies of these rows, in this order, trimmed to what they need.
  KvCache select_rows(const std::vector<std::int64_t>& rows) const;

 private:
  friend class CacheAccess;  // the decoder's own access, src/model
  std::int64_t spare_;
  std::vector<std::int64_t> lengths_;  // [B]
  std::vector<at::Tensor> keys_;       // [L] of [B, K, capacity, E]
  std::vector<at::Tensor> values_;     // [L] of [B, K, capacity, E]
};

}  // namespace baton::model
