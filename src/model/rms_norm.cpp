#include "rms_norm.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "row_kernels.hpp"

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor normalise(const at::Tensor& x,
                     const at::Tensor& weight,
                     double eps,
                     at::Tensor& inverse) {
  if (has_row_kernels(x)) {
    at::Tensor y = at::empty_like(x);
    inverse = at::empty({x.size(0), 1}, x.options().dtype(at::kFloat));
    rms_norm_rows(x, weight, eps, y, inverse);
    return y;
  }
  const at::Tensor wide = x.to(at::kFloat);                   // [N, D]
  inverse = wide.square().mean(-1, true).add_(eps).rsqrt_();  // [N, 1]
  return (wide * inverse * weight.to(at::kFloat)).to(x.scalar_type());
}

// Keeps x and one number a row.
class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            double eps) {
    at::Tensor inverse;
    at::Tensor y = normalise(x, weight, eps, inverse);
    context->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& inverse = saved[2];
    const at::Tensor gradient = gradients[0].contiguous();
    if (has_row_kernels(x) && has_row_kernels(gradient)) {
      at::Tensor of_x = at::empty_like(x);
      rms_norm_rows_backward(gradient, x, saved[1], inverse, of_x);
      return {of_x, at::Tensor(), at::Tensor()};
    }
    const at::Tensor normalised = x.to(at::kFloat) * inverse;                     // [N, D]
    const at::Tensor scaled = gradient.to(at::kFloat) * saved[1].to(at::kFloat);  // [N, D]
    const at::Tensor along = (scaled * normalised).mean(-1, true);                // [N, 1]
    return {(scaled - normalised * along).mul_(inverse).to(x.scalar_type()), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x.contiguous(), weight, eps);
}

}  // namespace baton::model
