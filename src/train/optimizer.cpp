#include "baton/train/optimizer.hpp"

#include <ATen/ATen.h>

#include <utility>

namespace baton::train {

AdamW::AdamW(at::Tensor parameters, AdamWOptions options)
    : parameters_(std::move(parameters)),
      first_moment_(at::zeros_like(parameters_)),
      second_moment_(at::zeros_like(parameters_)),
      step_count_(at::zeros({}, parameters_.options())),
      options_(options) {}

void AdamW::step(const at::Tensor& gradient, double learning_rate) {
  ++num_steps_;
  step_count_.fill_(static_cast<double>(num_steps_));
  std::vector<at::Tensor> parameters{parameters_};
  std::vector<at::Tensor> gradients{gradient};
  std::vector<at::Tensor> first{first_moment_};
  std::vector<at::Tensor> second{second_moment_};
  std::vector<at::Tensor> steps{step_count_};
  at::_fused_adamw_(parameters, gradients, first, second,
                    /*max_exp_avg_sqs=*/{}, steps, learning_rate, options_.beta1, options_.beta2,
                    options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false,
                    /*maximize=*/false);
}

void AdamW::restore(const at::Tensor& first_moment,
                    const at::Tensor& second_moment,
                    std::int64_t num_steps) {
  first_moment_.copy_(first_moment);
  second_moment_.copy_(second_moment);
  num_steps_ = num_steps;
}

at::Tensor norm_of(const at::Tensor& gradient) {
  return gradient.to(at::kDouble).norm();
}

void clip_gradient(at::Tensor& gradient, double norm, double max_norm) {
  // The 1e-6 is torch.nn.utils.clip_grad_norm_'s.
  const double factor = max_norm > 0 ? max_norm / (norm + 1e-6) : 1.0;
  if (factor < 1.0) {
    gradient.mul_(factor);
  }
}

}  // namespace baton::train
