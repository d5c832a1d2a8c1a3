#include "lora_linear.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string>

#include "baton/base/seed.hpp"
#include "baton/model/llama.hpp"

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// base + scale * B (A x'), where x' = x or x under a dropout mask. Keeps x in the base's dtype and
// A x (rank wide); everything of full width is recomputed in the backward pass.
class LoraFunction : public torch::autograd::Function<LoraFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& base,                 // [N, out]
                            const at::Tensor& x,                    // [N, in]
                            const at::Tensor& a,                    // [R, in]
                            const at::Tensor& b,                    // [out, R]
                            const std::optional<at::Tensor>& mask,  // [N, in] fp32
                            double scale) {
    at::Tensor wide = x.to(at::kFloat);
    if (mask) {
      wide = wide * *mask;
    }
    const at::Tensor reduced = at::mm(wide, a.t());  // [N, R]
    context->save_for_backward({x, a, b, mask.value_or(at::Tensor()), reduced});
    context->saved_data["scale"] = scale;
    if (base.scalar_type() == at::kFloat) {
      return at::addmm(base, reduced, b.t(), 1, scale);
    }
    return at::addmm(base.to(at::kFloat), reduced, b.t(), 1, scale).to(base.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& mask = saved[3];
    const double scale = context->saved_data["scale"].toDouble();
    const at::Tensor gradient = gradients[0].to(at::kFloat);               // [N, out]
    const at::Tensor of_reduced = at::mm(gradient, saved[2]).mul_(scale);  // [N, R]
    at::Tensor wide = x.to(at::kFloat);
    if (mask.defined()) {
      wide = wide * mask;
    }
    at::Tensor of_x;
    if (context->needs_input_grad(1)) {
      of_x = at::mm(of_reduced, saved[1]);  // [N, in]
      if (mask.defined()) {
        of_x.mul_(mask);
      }
      of_x = of_x.to(x.scalar_type());
    }
    return {gradients[0],
            of_x,
            at::mm(of_reduced.t(), wide),                // [R, in]
            at::mm(gradient.t(), saved[4]).mul_(scale),  // [out, R]
            at::Tensor(),
            at::Tensor()};
  }
};

// Each (row, layer, linear) has a stream of its own, so a row's mask does not depend on what it is
// packed with.
at::Tensor dropout_mask(const LayerContext& context,
                        double probability,
                        std::int64_t width,
                        int linear_index) {
  const std::vector<std::int64_t>& offsets = *context.offsets;
  at::Tensor mask = at::empty({offsets.back(), width}, at::kFloat);
  float* values = mask.data_ptr<float>();
  const float kept = static_cast<float>(1.0 / (1.0 - probability));
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    base::Random random(base::seed_for(
        context.dropout->seed, {"dropout", std::to_string(context.dropout->step),
                                std::to_string(context.dropout->row_indices[row]),
                                std::to_string(context.layer), std::to_string(linear_index)}));
    for (std::int64_t i = offsets[row] * width; i < offsets[row + 1] * width; ++i) {
      values[i] = random.uniform() < probability ? 0.0F : kept;
    }
  }
  return mask;
}

}  // namespace

at::Tensor apply_linear(const FrozenLinear& linear,
                        const at::Tensor& x,
                        const LayerContext& context,
                        int linear_index) {
  at::Tensor y = at::linear(x, linear.weight, linear.bias);
  if (context.adapters == nullptr) {
    return y;
  }
  for (const ActiveAdapter& active : context.adapters->active) {
    const Adapter& adapter = *active.adapter;
    const LoraFactors& factors = adapter.layers[static_cast<std::size_t>(context.layer)]
                                               [static_cast<std::size_t>(linear_index)];
    if (!factors.a.defined()) {
      continue;
    }
    std::optional<at::Tensor> mask;
    if (context.dropout != nullptr && adapter.dropout > 0) {
      mask =
          on_device(dropout_mask(context, adapter.dropout, x.size(-1), linear_index), x.device());
    }
    y = LoraFunction::apply(y, x, factors.a, factors.b, mask, active.weight * adapter.scale());
  }
  return y;
}

}  // namespace baton::model
