#include "baton/model/input_embedder.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "baton/base/error.hpp"

namespace baton::model {

TokenEmbedder::TokenEmbedder(at::Tensor table, double scale) : table_(std::move(table)) {
  if (scale != 1) {
    scale_ = at::scalar_tensor(scale, table_.options());
  }
}

at::Tensor TokenEmbedder::embed(const PackedRows& rows) const {
  at::Tensor embedded = table_.index_select(0, rows.tokens);
  if (scale_) {
    embedded.mul_(*scale_);
  }
  if (rows.insertions.empty()) {
    return embedded;
  }
  // Pieces side by side instead of writing in place: gradients reach inserted embeddings.
  std::vector<at::Tensor> pieces;
  std::int64_t begin = 0;
  for (const Insertion& insertion : rows.insertions) {
    const std::int64_t count = insertion.embeddings.size(0);
    BATON_ASSERT(
        insertion.begin >= begin && insertion.begin + count <= rows.num_tokens(),
        fmt::format("{} embeddings at token {} of {}", count, insertion.begin, rows.num_tokens()));
    pieces.push_back(embedded.narrow(0, begin, insertion.begin - begin));
    pieces.push_back(insertion.embeddings.to(embedded.scalar_type()));
    begin = insertion.begin + count;
  }
  pieces.push_back(embedded.narrow(0, begin, rows.num_tokens() - begin));
  return at::cat(pieces);
}

}  // namespace baton::model
