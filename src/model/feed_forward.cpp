#include "feed_forward.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using weights::Activation;

at::Tensor activate(const at::Tensor& x, Activation activation) {
  return activation == Activation::kSilu ? at::silu(x) : at::gelu(x, "tanh");
}

at::Tensor activate_backward(const at::Tensor& gradient,
                             const at::Tensor& x,
                             Activation activation) {
  return activation == Activation::kSilu ? at::silu_backward(gradient, x)
                                         : at::gelu_backward(gradient, x, "tanh");
}

// Keeps gate and up, not activation(gate).
class GatedFunction : public torch::autograd::Function<GatedFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& gate,
                            const at::Tensor& up,
                            std::int64_t activation) {
    context->save_for_backward({gate, up});
    context->saved_data["activation"] = activation;
    return activate(gate, static_cast<Activation>(activation)).mul_(up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    const at::Tensor activated = activate(saved[0], activation);
    at::Tensor of_up = activated.mul_(gradients[0]);
    at::Tensor of_gate = activate_backward(gradients[0] * saved[1], saved[0], activation);
    return {of_gate, of_up, at::Tensor()};
  }
};

}  // namespace

at::Tensor feed_forward(const FeedForwardWeights& weights,
                        const at::Tensor& x,
                        const LayerContext& context) {
  const at::Tensor gate = apply_linear(weights.gate, x, context, 4);  // [N, F]
  const at::Tensor up = apply_linear(weights.up, x, context, 5);      // [N, F]
  const at::Tensor gated =
      GatedFunction::apply(gate, up, static_cast<std::int64_t>(weights.activation));
  return apply_linear(weights.down, gated, context, 6);
}

}  // namespace baton::model
