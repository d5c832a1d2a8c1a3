#include "attention.hpp"

#include <ATen/ATen.h>

#include <limits>
#include <optional>

#include "cache_access.hpp"

namespace baton::model {

namespace {

// [N, K, E] -> [N, H, E]: each key/value head serves H / K query heads.
at::Tensor repeat_heads(const at::Tensor& x, std::int64_t num_heads) {
  const std::int64_t num_kv_heads = x.size(1);
  if (num_kv_heads == num_heads) {
    return x;
  }
  return x.unsqueeze(2)
      .expand({x.size(0), num_kv_heads, num_heads / num_kv_heads, x.size(2)})
      .reshape({x.size(0), num_heads, x.size(2)});
}

// [K, T, E] -> [1, H, T, E].
at::Tensor repeated(const at::Tensor& x, std::int64_t num_heads) {
  return repeat_heads(x.transpose(0, 1), num_heads).transpose(0, 1).unsqueeze(0);
}

// The last `num_new` of `num_keys` positions, each seeing those before it and itself: 0 or -inf.
at::Tensor tail_mask(std::int64_t num_new,
                     std::int64_t num_keys,
                     const at::TensorOptions& options) {
  return at::full({num_new, num_keys}, -std::numeric_limits<float>::infinity(), options)
      .triu_(num_keys - num_new + 1);
}

// Copies, so that a kept row does not hold the memory of those it was packed with.
void keep(const std::vector<at::Tensor>& k_rows,
          const std::vector<at::Tensor>& v_rows,
          std::int64_t layer,
          RowCaches& caches) {
  for (std::size_t row = 0; row < k_rows.size(); ++row) {
    at::Tensor keys = k_rows[row].transpose(0, 1);
    at::Tensor values = v_rows[row].transpose(0, 1);
    if (const PromptCache* prefix = caches.prefix_of(row)) {
      keys = at::cat({prefix->keys(layer), keys}, 1);
      values = at::cat({prefix->values(layer), values}, 1);
    }
    caches.keys[row].push_back(keys.clone(at::MemoryFormat::Contiguous));
    caches.values[row].push_back(values.clone(at::MemoryFormat::Contiguous));
  }
}

}  // namespace

at::Tensor attend_rows(const AttentionWeights& weights,
                       const AttentionSizes& sizes,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       RowCaches& caches) {
  const std::int64_t num_tokens = x.size(0);
  const at::Tensor q = apply_rope(
      apply_linear(weights.q, x, context, 0).view({num_tokens, sizes.num_heads, sizes.head_dim}),
      angles);
  const at::Tensor k = apply_rope(
      apply_linear(weights.k, x, context, 1).view({num_tokens, sizes.num_kv_heads, sizes.head_dim}),
      angles);
  const at::Tensor v =
      apply_linear(weights.v, x, context, 2).view({num_tokens, sizes.num_kv_heads, sizes.head_dim});
  const at::Tensor all_k = repeat_heads(k, sizes.num_heads);  // [N, H, E]
  const at::Tensor all_v = repeat_heads(v, sizes.num_heads);

  const std::vector<std::int64_t>& offsets = *context.offsets;
  std::vector<std::int64_t> lengths;
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    lengths.push_back(offsets[row + 1] - offsets[row]);
  }
  // Splitting (not slicing): its gradient is one concatenation instead of one full-size tensor a
  // row.
  const std::vector<at::Tensor> q_rows = q.split_with_sizes(lengths);
  const std::vector<at::Tensor> k_rows = all_k.split_with_sizes(lengths);
  const std::vector<at::Tensor> v_rows = all_v.split_with_sizes(lengths);
  std::vector<at::Tensor> rows;
  rows.reserve(lengths.size());
  const auto as_heads = [](const at::Tensor& row) {
    return row.transpose(0, 1).unsqueeze(0);
  };  // [1, H, T, E]
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    at::Tensor row_k = as_heads(k_rows[row]);
    at::Tensor row_v = as_heads(v_rows[row]);
    std::optional<at::Tensor> mask;
    if (const PromptCache* prefix = caches.prefix_of(row)) {
      row_k = at::cat({repeated(prefix->keys(context.layer), sizes.num_heads), row_k}, 2);
      row_v = at::cat({repeated(prefix->values(context.layer), sizes.num_heads), row_v}, 2);
      mask = tail_mask(lengths[row], row_k.size(2), q.options());
    }
    const at::Tensor attended = at::scaled_dot_product_attention(
        as_heads(q_rows[row]), row_k, row_v, mask, 0.0, /*is_causal=*/!mask);
    rows.push_back(attended.squeeze(0).transpose(0, 1).reshape(
        {lengths[row], sizes.num_heads * sizes.head_dim}));
  }
  if (caches.keeps) {
    keep(k.split_with_sizes(lengths), v.split_with_sizes(lengths), context.layer, caches);
  }
  return apply_linear(weights.o, rows.size() == 1 ? rows[0] : at::cat(rows), context, 3);
}

at::Tensor attend_step(const AttentionWeights& weights,
                       const AttentionSizes& sizes,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       KvCache& cache,
                       const at::Tensor& mask) {
  const std::int64_t num_rows = x.size(0);
  const std::int64_t per_kv_head = sizes.num_heads / sizes.num_kv_heads;
  const at::Tensor q = apply_rope(
      apply_linear(weights.q, x, context, 0).view({num_rows, sizes.num_heads, sizes.head_dim}),
      angles);
  const at::Tensor k = apply_rope(
      apply_linear(weights.k, x, context, 1).view({num_rows, sizes.num_kv_heads, sizes.head_dim}),
      angles);
  const at::Tensor v =
      apply_linear(weights.v, x, context, 2).view({num_rows, sizes.num_kv_heads, sizes.head_dim});
  CacheAccess::append(cache, context.layer, k, v);

  // The H / K query heads of one key/value head stand in the query position's place: no copy of the
  // cache.
  const std::int64_t longest = mask.size(-1);
  const at::Tensor attended = at::scaled_dot_product_attention(
      q.view({num_rows, sizes.num_kv_heads, per_kv_head, sizes.head_dim}),
      CacheAccess::keys(cache, context.layer).narrow(2, 0, longest),
      CacheAccess::values(cache, context.layer).narrow(2, 0, longest), mask, 0.0,
      /*is_causal=*/false);
  return apply_linear(weights.o, attended.reshape({num_rows, sizes.num_heads * sizes.head_dim}),
                      context, 3);
}

}  // namespace baton::model
