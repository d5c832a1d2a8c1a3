#pragma once
// Sequences of different lengths one after another without padding, as a pass reads them. Letters:
// N packed tokens, B rows, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace baton::model {

/// Embeddings that stand at packed tokens [begin, begin + n) instead of the vocabulary's.
struct Insertion {
  std::int64_t begin = 0;
  at::Tensor embeddings;  // [n, D]
};

struct PackedRows {
  at::Tensor tokens;                  // [N] int64
  std::vector<std::int64_t> offsets;  // [B + 1]; row b is tokens [offsets[b], offsets[b + 1])
  std::vector<Insertion> insertions = {};

  std::int64_t num_rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t num_tokens() const { return offsets.back(); }
};

/// A tensor made on the host, on `device`; the host does not wait for a GPU.
at::Tensor on_device(const at::Tensor& host, const at::Device& device);

/// Packs token rows on the CPU and moves them to `device`. An empty row is an assertion.
PackedRows pack_rows(std::span<const std::vector<std::int32_t>> rows, const at::Device& device);

}  // namespace baton::model
