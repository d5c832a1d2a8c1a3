#pragma once
// The decoder's own way into a KvCache.

#include <cstdint>
#include <vector>

#include "baton/model/kv_cache.hpp"

namespace baton::model {

class CacheAccess {
 public:
  /// Appends one position a row to a layer: keys, values [B, K, E]. Lengths change in `advance`.
  static void append(KvCache& cache,
                     std::int64_t layer,
                     const at::Tensor& keys,
                     const at::Tensor& values);
  /// After all layers appended.
  static void advance(KvCache& cache);

  static const at::Tensor& keys(const KvCache& cache, std::int64_t layer) {
    return cache.keys_[static_cast<std::size_t>(layer)];
  }
  static const at::Tensor& values(const KvCache& cache, std::int64_t layer) {
    return cache.values_[static_cast<std::size_t>(layer)];
  }
};

}  // namespace baton::model
