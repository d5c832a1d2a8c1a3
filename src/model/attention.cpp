#include "attention.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <optional>

#include "cache_access.hpp"
#include "rms_norm.hpp"

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

// The last `num_new` of `num_keys` positions, each seeing itself and those before it (the last
// `window` of them all, unless that is 0): 0 or -inf.
at::Tensor tail_mask(std::int64_t num_new,
                     std::int64_t num_keys,
                     std::int64_t window,
                     const at::TensorOptions& options) {
  const double never = -std::numeric_limits<double>::infinity();
  at::Tensor mask = at::full({num_new, num_keys}, never, options).triu_(num_keys - num_new + 1);
  if (window > 0 && num_keys > window) {
    mask += at::full({num_new, num_keys}, never, options).tril_(num_keys - num_new - window);
  }
  return mask;
}

// softmax(scores) v, scores = scale x q k^T, under a cap where there is one. q [B, H, T, E], k and v
// [B, H, S, E]; no mask: causal.
at::Tensor attended(const AttentionSettings& settings,
                    const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v,
                    const std::optional<at::Tensor>& mask) {
  if (!settings.cap) {
    return at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/!mask,
                                            settings.scale);
  }
  const double scale = settings.scale.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))));
  const at::Tensor scores = at::matmul(q, k.transpose(-2, -1)).to(at::kFloat) * scale;
  const at::Tensor capped = at::tanh(scores / *settings.cap) * *settings.cap;
  const at::Tensor seen = mask ? *mask : tail_mask(q.size(-2), k.size(-2), 0, q.options());
  return at::matmul(at::softmax(capped + seen, -1).to(q.scalar_type()), v);
}

// A linear's heads [N, heads, E], under a norm where there is one.
at::Tensor heads_of(const at::Tensor& projected,
                    const at::Tensor& norm,
                    double eps,
                    std::int64_t size) {
  const at::Tensor heads = projected.view({projected.size(0), -1, size});
  return norm.defined() ? rms_norm(heads.reshape({-1, size}), norm, eps).view(heads.sizes())
                        : heads;
}

struct Projected {
  at::Tensor q;  // [N, H, E]
  at::Tensor k;  // [N, K, E]
  at::Tensor v;  // [N, K, E]
};

Projected project(const AttentionWeights& weights,
                  const AttentionSettings& settings,
                  const at::Tensor& x,
                  const RopeAngles& angles,
                  const LayerContext& context) {
  const auto part = [&](const FrozenLinear& linear, int index, const at::Tensor& norm) {
    return heads_of(apply_linear(linear, x, context, index), norm, settings.norm_eps,
                    settings.head_dim);
  };
  return {apply_rope(part(weights.q, 0, weights.query_norm), angles),
          apply_rope(part(weights.k, 1, weights.key_norm), angles), part(weights.v, 2, {})};
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
                       const AttentionSettings& settings,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       RowCaches& caches) {
  const auto [q, k, v] = project(weights, settings, x, angles, context);
  const at::Tensor all_k = repeat_heads(k, settings.num_heads);  // [N, H, E]
  const at::Tensor all_v = repeat_heads(v, settings.num_heads);

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
      row_k = at::cat({repeated(prefix->keys(context.layer), settings.num_heads), row_k}, 2);
      row_v = at::cat({repeated(prefix->values(context.layer), settings.num_heads), row_v}, 2);
    }
    const std::int64_t num_keys = row_k.size(2);
    if (num_keys > lengths[row] || (weights.window > 0 && num_keys > weights.window)) {
      mask = tail_mask(lengths[row], num_keys, weights.window, q.options());
    }
    rows.push_back(attended(settings, as_heads(q_rows[row]), row_k, row_v, mask)
                       .squeeze(0)
                       .transpose(0, 1)
                       .reshape({lengths[row], settings.num_heads * settings.head_dim}));
  }
  if (caches.keeps) {
    keep(k.split_with_sizes(lengths), v.split_with_sizes(lengths), context.layer, caches);
  }
  return apply_linear(weights.o, rows.size() == 1 ? rows[0] : at::cat(rows), context, 3);
}

at::Tensor attend_step(const AttentionWeights& weights,
                       const AttentionSettings& settings,
                       const at::Tensor& x,
                       const RopeAngles& angles,
                       const LayerContext& context,
                       KvCache& cache,
                       const at::Tensor& mask) {
  const std::int64_t num_rows = x.size(0);
  const std::int64_t per_kv_head = settings.num_heads / settings.num_kv_heads;
  const auto [q, k, v] = project(weights, settings, x, angles, context);
  CacheAccess::append(cache, context.layer, k, v);

  // The H / K query heads of one key/value head stand in the query position's place: no copy of the
  // cache.
  const std::int64_t longest = mask.size(-1);
  const at::Tensor found =
      attended(settings, q.view({num_rows, settings.num_kv_heads, per_kv_head, settings.head_dim}),
               CacheAccess::keys(cache, context.layer).narrow(2, 0, longest),
               CacheAccess::values(cache, context.layer).narrow(2, 0, longest), mask);
  return apply_linear(weights.o, found.reshape({num_rows, settings.num_heads * settings.head_dim}),
                      context, 3);
}

}  // namespace baton::model
