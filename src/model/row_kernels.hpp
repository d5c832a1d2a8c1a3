#pragma once
// Fused CPU kernels over rows of fp32 or bf16 tensors: one pass over memory where a chain of tensor
// operations takes six to nine. All arithmetic is fp32; a row's result does not depend on the other
// rows or on the threads.

#include <ATen/core/Tensor.h>

namespace baton::model {

/// True where the kernels below apply: a contiguous CPU tensor of fp32 or bf16.
bool has_row_kernels(const at::Tensor& x);

/// y = w * x / sqrt(mean(x^2) + eps), rounded once; inverse [N] fp32 gets 1 / sqrt(...). x, y [N,
/// D]; w [D].
void rms_norm_rows(
    const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y, at::Tensor& inverse);

/// The gradient of x for the gradient of y; inverse as above.
void rms_norm_rows_backward(const at::Tensor& gradient,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            const at::Tensor& inverse,
                            at::Tensor& of_x);

/// Rotates x [N, heads, E] by angles [N, 1, E/2] (direction +1, or -1 for the way back) into y.
void rope_rows(const at::Tensor& x,
               const at::Tensor& cosines,
               const at::Tensor& sines,
               float direction,
               at::Tensor& y);

}  // namespace baton::model
