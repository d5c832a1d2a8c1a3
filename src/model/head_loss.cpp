#include "head_loss.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "vector_math.hpp"

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// 64 x 49,152 fp32 logits are 12 MB: large enough for full GEMM speed, small beside the model.
constexpr std::int64_t kPieceRows = 64;

class HeadLossFunction : public torch::autograd::Function<HeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& hidden,
                            const at::Tensor& head,
                            const at::Tensor& targets,
                            const at::Tensor& weights,
                            const std::optional<double>& cap) {
    const std::int64_t num_rows = hidden.size(0);
    at::Tensor loss = at::zeros({}, weights.options().dtype(at::kDouble));
    const bool learns = hidden.requires_grad();
    at::Tensor gradient = learns ? at::empty_like(hidden) : at::Tensor();
    for (std::int64_t begin = 0; begin < num_rows; begin += kPieceRows) {
      const std::int64_t count = std::min(kPieceRows, num_rows - begin);
      const at::Tensor target = targets.narrow(0, begin, count).unsqueeze(1);  // [m, 1]
      const at::Tensor weight = weights.narrow(0, begin, count).unsqueeze(1);  // [m, 1]
      at::Tensor logits =
          capped(at::mm(hidden.narrow(0, begin, count), head.t()).to(at::kFloat), cap);  // [m, V]
      at::Tensor probabilities = at::log_softmax(logits, 1);  // still logarithms here
      loss.sub_((probabilities.gather(1, target) * weight).sum(at::kDouble));
      if (!learns) {
        continue;
      }
      probabilities.exp_();
      probabilities.scatter_add_(1, target, at::full_like(weight, -1.0F));
      probabilities.mul_(weight);
      if (cap) {  // d/dx of c tanh(x / c) is 1 - tanh^2
        probabilities.mul_(logits.div_(*cap).square_().neg_().add_(1));
      }
      gradient.narrow(0, begin, count).copy_(at::mm(probabilities.to(head.scalar_type()), head));
    }
    context->save_for_backward({gradient});
    return loss.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor gradient = context->get_saved_variables()[0];
    return {gradient * gradients[0].to(gradient.scalar_type()), at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor capped(const at::Tensor& logits, const std::optional<double>& cap) {
  return cap ? at::tanh(logits / *cap) * *cap : logits;
}

at::Tensor weighted_cross_entropy(const at::Tensor& hidden,
                                  const at::Tensor& head,
                                  const at::Tensor& targets,
                                  const at::Tensor& weights,
                                  const std::optional<double>& cap) {
  settle_vector_math();
  return HeadLossFunction::apply(hidden, head, targets, weights, cap);
}

}  // namespace baton::model
