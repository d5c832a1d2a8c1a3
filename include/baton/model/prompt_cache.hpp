#pragma once
// Keys and values of one prefix, read once: immutable, shared by whoever goes on from it. Many tails
// may stand on one prefix in one pass; decoding copies prefixes into a KvCache that grows. What a
// prefix holds depends on the tokens and on what the adapters in use did to them, so who keeps one
// for later keys it by both, never by a name.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace baton::model {

class PromptCache {
 public:
  PromptCache(std::vector<at::Tensor> keys, std::vector<at::Tensor> values)
      : keys_(std::move(keys)), values_(std::move(values)) {}

  std::int64_t num_tokens() const { return keys_.front().size(1); }
  std::int64_t num_layers() const { return static_cast<std::int64_t>(keys_.size()); }
  std::int64_t num_bytes() const;
  /// [K, T, E], rotated to their positions.
  const at::Tensor& keys(std::int64_t layer) const {
    return keys_[static_cast<std::size_t>(layer)];
  }
  /// [K, T, E].
  const at::Tensor& values(std::int64_t layer) const {
    return values_[static_cast<std::size_t>(layer)];
  }

 private:
  std::vector<at::Tensor> keys_;    // [L]
  std::vector<at::Tensor> values_;  // [L]
};

using SharedPrompt = std::shared_ptr<const PromptCache>;

/// What stands before the rows of a pass, and what is kept of it.
struct PassCaches {
  /// [B]; null where a row begins at position 0. Empty: all do.
  std::vector<SharedPrompt> prefixes = {};
  /// Whether the pass keeps anything.
  bool keeps = true;
  /// [B], made by the pass: prefix and row together. Empty where it keeps nothing.
  std::vector<SharedPrompt> kept = {};
};

}  // namespace baton::model
