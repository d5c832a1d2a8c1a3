#pragma once
// RMSNorm (arXiv 1910.07467) with a frozen weight: y = w * x / sqrt(mean(x^2) + eps), computed in
// fp32.

#include <ATen/core/Tensor.h>

namespace baton::model {

/// x [..., D], weight [D] -> [..., D] in x's dtype. Differentiable in x only.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace baton::model
