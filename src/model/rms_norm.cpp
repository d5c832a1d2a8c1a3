#include "rms_norm.hpp"

#include <torch/csrc/autograd/custom_function.h>
#include <ATen/ATen.h>

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Keeps x and one number a row instead of autograd's five intermediates.
class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            double eps) {
    const at::Tensor wide = x.to(at::kFloat);                                    // [N, D]
    const at::Tensor inverse = wide.square().mean(-1, true).add_(eps).rsqrt_();  // [N, 1]
    context->save_for_backward({x, weight, inverse});
    return (wide * inverse).to(x.scalar_type()).mul_(weight);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& inverse = saved[2];
    const at::Tensor normalised = x.to(at::kFloat) * inverse;                             // [N, D]
    const at::Tensor scaled = gradients[0].to(at::kFloat) * saved[1].to(at::kFloat);      // [N, D]
    const at::Tensor along = (scaled * normalised).mean(-1, true);                        // [N, 1]
    const at::Tensor gradient = (scaled - normalised * along).mul_(inverse);
    return {gradient.to(x.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x, weight, eps);
}

}  // namespace baton::model
