#pragma once
// What adapters do in one pass: which adapter acts, on which tokens, with which weight, at which
// layers. One adapter on everything (training an expert, asking it), activation from a position on,
// several experts in one batch, gates a token and mixtures inside a layer are all values of it; the
// linears know nothing else. y = W x + b + sum_u w_u(n, l) * alpha_u / R_u * B_u (A_u x): LoRA (arXiv
// 2106.09685, equation 3), summed over the uses u that act on token n in layer l. A weight is known
// before the pass (AdapterUse) or made in it from what the linear reads (TokenWeigher).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "baton/model/adapter.hpp"

namespace baton::model {

struct AdapterUse {
  const Adapter* adapter = nullptr;
  double weight = 1.0;

  /// [n] int64, ascending, without repeats: the packed tokens it acts on (in a step with one new
  /// token a row: the rows). Undefined: all.
  at::Tensor tokens = {};
  /// fp32 [n], or [L, n] for one a layer, n as in `tokens`; times `weight`. Undefined: 1.
  /// Differentiable.
  at::Tensor token_weights = {};
  /// Ascending. Empty: every layer that the adapter has factors for.
  std::vector<std::int64_t> layers = {};

  bool acts_at(std::int64_t layer) const;
};

/// Weighs the uses of a pass, token by token and linear by linear, by what the linear reads: gates,
/// and experts mixed inside a layer.
class TokenWeigher {
 public:
  virtual ~TokenWeigher() = default;
  /// x [N, in], in the base's dtype, is what linear `linear_index` (a position in
  /// expert::lora_target_names()) of the layer reads. Gives fp32 [U, N]: a weight for each use, in
  /// their order, on each token; undefined where it weighs nothing (1). Differentiable in x and in
  /// what it is made of. Called once a linear, in the order of the pass.
  virtual at::Tensor weights(const at::Tensor& x, std::int64_t layer, int linear_index) const = 0;
};

/// All that is active in a pass; the base alone where it is empty. The adapters outlive it. Sums
/// are made in this order.
struct AdapterUses {
  std::vector<AdapterUse> uses;
  /// Of all of them; its weights come on top of the uses' own. Null: 1.
  std::shared_ptr<const TokenWeigher> weigher = {};

  AdapterUses() = default;
  /// One adapter on every token of every layer.
  explicit AdapterUses(const Adapter& adapter) : uses{{&adapter}} {}
  explicit AdapterUses(std::vector<AdapterUse> all) : uses(std::move(all)) {}
};

/// The packed tokens of row b from position first[b] on (first[b] at or beyond the row's end: none
/// of it), for all rows: [n] int64. `offsets` [B + 1] as in PackedRows.
at::Tensor tokens_from(std::span<const std::int64_t> offsets,
                       std::span<const std::int64_t> first,
                       const at::Device& device);

/// The packed tokens of these rows (ascending): [n] int64.
at::Tensor tokens_of_rows(std::span<const std::int64_t> offsets,
                          std::span<const std::int64_t> rows,
                          const at::Device& device);

}  // namespace baton::model
