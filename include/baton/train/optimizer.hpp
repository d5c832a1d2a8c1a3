#pragma once
// AdamW (arXiv 1711.05101) over one flat parameter buffer: LibTorch's fused kernel, decoupled
// weight decay.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace baton::train {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

class AdamW {
 public:
  /// parameters [P] fp32; updated in place by `step`.
  AdamW(at::Tensor parameters, AdamWOptions options);

  /// One update with the gradient [P].
  void step(const at::Tensor& gradient, double learning_rate);

  /// Takes over both moments [P] and the count of updates made with them.
  void restore(const at::Tensor& first_moment,
               const at::Tensor& second_moment,
               std::int64_t num_steps);

  std::int64_t num_steps() const { return num_steps_; }
  const at::Tensor& first_moment() const { return first_moment_; }    // [P]
  const at::Tensor& second_moment() const { return second_moment_; }  // [P]

 private:
  at::Tensor parameters_;
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  at::Tensor step_count_;  // [] fp32, as the kernel wants it
  std::int64_t num_steps_ = 0;
  AdamWOptions options_;
};

/// L2 norm of `gradient` [P]: a number [] in fp64 where the gradient is, not waited for.
at::Tensor norm_of(const at::Tensor& gradient);

/// Scales `gradient`, whose L2 norm is `norm`, so that it is at most max_norm (max_norm <= 0:
/// leaves it).
void clip_gradient(at::Tensor& gradient, double norm, double max_norm);

}  // namespace baton::train
