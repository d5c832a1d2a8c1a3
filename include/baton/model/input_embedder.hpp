#pragma once
// From rows to what the first layer reads. A step of its own, because what stands at a position need
// not come from the vocabulary: a picture's embeddings can take the place of its tokens. Rows carry
// what an embedder needs (PackedRows).

#include <ATen/core/Tensor.h>

#include <optional>

#include "baton/model/packed_rows.hpp"

namespace baton::model {

class InputEmbedder {
 public:
  virtual ~InputEmbedder() = default;
  /// [N, D] in the base's dtype: one vector a packed token.
  virtual at::Tensor embed(const PackedRows& rows) const = 0;
};

/// The vocabulary's vectors, and the rows' own where they bring some.
class TokenEmbedder final : public InputEmbedder {
 public:
  /// `table` [V, D]; what comes from it is multiplied by `scale`, rounded to the table's type.
  explicit TokenEmbedder(at::Tensor table, double scale = 1);
  at::Tensor embed(const PackedRows& rows) const override;

 private:
  at::Tensor table_;
  std::optional<at::Tensor> scale_;  // []; none: 1
};

}  // namespace baton::model
