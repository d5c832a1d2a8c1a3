#pragma once
// Head and cross entropy in one: sum_m weight_m * -log softmax(W h_m)[target_m], in pieces, so that
// the logits of a piece are the only [*, V] memory. The gradient of h is made in the forward pass.

#include <ATen/core/Tensor.h>

#include <optional>

namespace baton::model {

/// hidden [M, D], head [V, D], targets [M] int64, weights [M] fp32 -> scalar fp32. Differentiable
/// in hidden only. With a cap, logits are cap x tanh(logit / cap).
at::Tensor weighted_cross_entropy(const at::Tensor& hidden,
                                  const at::Tensor& head,
                                  const at::Tensor& targets,
                                  const at::Tensor& weights,
                                  const std::optional<double>& cap = {});

/// cap x tanh(logits / cap), or the logits where there is no cap.
at::Tensor capped(const at::Tensor& logits, const std::optional<double>& cap);

}  // namespace baton::model
