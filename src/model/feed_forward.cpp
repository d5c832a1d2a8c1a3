#include "feed_forward.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Keeps gate and up, not silu(gate).
class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor activated = at::silu(saved[0]);
    at::Tensor of_up = activated.mul_(gradients[0]);
    at::Tensor of_gate = at::silu_backward(gradients[0] * saved[1], saved[0]);
    return {of_gate, of_up};
  }
};

}  // namespace

at::Tensor feed_forward(const FeedForwardWeights& weights,
                        const at::Tensor& x,
                        const LayerContext& context) {
  const at::Tensor gate = apply_linear(weights.gate, x, context, 4);  // [N, F]
  const at::Tensor up = apply_linear(weights.up, x, context, 5);      // [N, F]
  return apply_linear(weights.down, SwigluFunction::apply(gate, up), context, 6);
}

}  // namespace baton::model
