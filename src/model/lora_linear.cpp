#include "lora_linear.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/model/packed_rows.hpp"

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What one use adds to a linear: y_n = base_n + scale * w_n * B (A x'_n) for each token n that it acts
// on, where x' = x or x under a dropout mask. Keeps x in the base's dtype and A x (rank wide);
// everything of full width is recomputed in the backward pass.
class LoraFunction : public torch::autograd::Function<LoraFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& base,                    // [N, out]
                            const at::Tensor& x,                       // [N, in]
                            const at::Tensor& a,                       // [R, in]
                            const at::Tensor& b,                       // [out, R]
                            const std::optional<at::Tensor>& weights,  // [n] fp32; none: 1
                            const std::optional<at::Tensor>& tokens,   // [n]; none: all, n = N
                            const std::optional<at::Tensor>& mask,     // [N, in] fp32
                            double scale) {
    const at::Tensor reduced = at::mm(widened(x, tokens, mask), a.t());  // [n, R]
    const at::Tensor weighted = weights ? reduced * weights->unsqueeze(1) : reduced;
    context->save_for_backward({x, a, b, weights.value_or(at::Tensor()),
                                tokens.value_or(at::Tensor()), mask.value_or(at::Tensor()), reduced,
                                weighted});
    context->saved_data["scale"] = scale;
    if (!tokens) {
      return add(base, weighted, b, scale);
    }
    at::Tensor y = base.clone();
    return y.index_copy_(0, *tokens, add(base.index_select(0, *tokens), weighted, b, scale));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weights = saved[3];
    const std::optional<at::Tensor> tokens = given(saved[4]);
    const std::optional<at::Tensor> mask = given(saved[5]);
    const double scale = context->saved_data["scale"].toDouble();
    const at::Tensor gradient = chosen(gradients[0], tokens).to(at::kFloat);  // [n, out]
    at::Tensor of_reduced = at::mm(gradient, saved[2]).mul_(scale);           // [n, R]
    at::Tensor of_weights;
    if (weights.defined()) {
      if (context->needs_input_grad(4)) {  // the first of what may be left out
        of_weights = (of_reduced * saved[6]).sum(1);
      }
      of_reduced = of_reduced * weights.unsqueeze(1);
    }
    at::Tensor of_x;
    if (context->needs_input_grad(1)) {
      of_x = gradient_of_x(of_reduced, saved[1], x, tokens, mask);
    }
    at::Tensor of_a;  // none for a frozen adapter
    at::Tensor of_b;
    if (context->needs_input_grad(2)) {
      of_a = at::mm(of_reduced.t(), widened(x, tokens, mask));  // [R, in]
      of_b = at::mm(gradient.t(), saved[7]).mul_(scale);        // [out, R]
    }
    return {gradients[0], of_x, of_a, of_b, of_weights, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static std::optional<at::Tensor> given(const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  }

  static at::Tensor chosen(const at::Tensor& tensor, const std::optional<at::Tensor>& tokens) {
    return tokens ? tensor.index_select(0, *tokens) : tensor;
  }

  static at::Tensor widened(const at::Tensor& x,
                            const std::optional<at::Tensor>& tokens,
                            const std::optional<at::Tensor>& mask) {
    const at::Tensor wide = chosen(x, tokens).to(at::kFloat);
    return mask ? wide * chosen(*mask, tokens) : wide;
  }

  // base + scale * reduced b^T, rounded once.
  static at::Tensor add(const at::Tensor& base,
                        const at::Tensor& reduced,
                        const at::Tensor& b,
                        double scale) {
    if (base.scalar_type() == at::kFloat) {
      return at::addmm(base, reduced, b.t(), 1, scale);
    }
    return at::addmm(base.to(at::kFloat), reduced, b.t(), 1, scale).to(base.scalar_type());
  }

  static at::Tensor gradient_of_x(const at::Tensor& of_reduced,
                                  const at::Tensor& a,
                                  const at::Tensor& x,
                                  const std::optional<at::Tensor>& tokens,
                                  const std::optional<at::Tensor>& mask) {
    at::Tensor of_chosen = at::mm(of_reduced, a);  // [n, in]
    if (mask) {
      of_chosen.mul_(chosen(*mask, tokens));
    }
    of_chosen = of_chosen.to(x.scalar_type());
    return tokens ? at::zeros_like(x).index_copy_(0, *tokens, of_chosen) : of_chosen;
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

// The use's own weights times `made` [N], each where there are such.
std::optional<at::Tensor> token_weights_at(const AdapterUse& use,
                                           std::int64_t layer,
                                           const at::Tensor& made) {
  at::Tensor weights = use.token_weights;
  if (weights.defined() && weights.dim() == 2) {
    weights = weights[layer];
  }
  if (made.defined()) {
    const at::Tensor chosen = use.tokens.defined() ? made.index_select(0, use.tokens) : made;
    weights = weights.defined() ? weights * chosen : chosen;
  }
  return weights.defined() ? std::optional(weights) : std::nullopt;
}

// What the pass's weigher makes of this linear's input: [U, N], or undefined.
at::Tensor weights_made(const LayerContext& context, const at::Tensor& x, int linear_index) {
  const AdapterUses& adapters = *context.adapters;
  if (adapters.weigher == nullptr || adapters.uses.empty()) {
    return {};
  }
  at::Tensor made = adapters.weigher->weights(x, context.layer, linear_index);
  BATON_ASSERT(
      !made.defined() || (made.size(0) == static_cast<std::int64_t>(adapters.uses.size()) &&
                          made.size(1) == x.size(0)),
      std::to_string(adapters.uses.size()) + " uses");
  return made;
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
  const at::Tensor made = weights_made(context, x, linear_index);
  for (std::size_t index = 0; index < context.adapters->uses.size(); ++index) {
    const AdapterUse& use = context.adapters->uses[index];
    const Adapter& adapter = *use.adapter;
    const LoraFactors& factors = adapter.layers[static_cast<std::size_t>(context.layer)]
                                               [static_cast<std::size_t>(linear_index)];
    if (!factors.a.defined() || !use.acts_at(context.layer)) {
      continue;
    }
    std::optional<at::Tensor> mask;
    if (context.dropout != nullptr && adapter.dropout > 0) {
      mask =
          on_device(dropout_mask(context, adapter.dropout, x.size(-1), linear_index), x.device());
    }
    const at::Tensor own = made.defined() ? made[static_cast<std::int64_t>(index)] : made;
    y = LoraFunction::apply(y, x, factors.a, factors.b, token_weights_at(use, context.layer, own),
                            use.tokens.defined() ? std::optional(use.tokens) : std::nullopt, mask,
                            use.weight * adapter.scale());
  }
  return y;
}

}  // namespace baton::model
