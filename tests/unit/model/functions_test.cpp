// The decoder's own differentiable functions against autograd of the plain formula in doubles.

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "model/feed_forward.hpp"
#include "model/head_loss.hpp"
#include "model/rms_norm.hpp"
#include "model/rope.hpp"
#include "model_fixture.hpp"

namespace baton::test {
namespace {

at::Tensor random_tensor(at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat));
}

// `function` in fp32 and `plain` in doubles, values and gradients of x, weighted by the same random
// numbers.
void expect_same(const at::Tensor& x,
                 const std::function<at::Tensor(const at::Tensor&)>& function,
                 const std::function<at::Tensor(const at::Tensor&)>& plain) {
  const at::Tensor narrow = x.clone().set_requires_grad(true);
  const at::Tensor wide = x.to(at::kDouble).set_requires_grad(true);
  const at::Tensor found = function(narrow);
  const at::Tensor expected = plain(wide);
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE(max_difference(found, expected),
            1e-5 * std::max(1.0, expected.abs().max().item<double>()));
  const at::Tensor weights = random_tensor(found.sizes(), 99);
  const at::Tensor gradient =
      torch::autograd::grad({(found * weights).sum()}, {narrow}, {}, /*retain_graph=*/true)[0];
  const at::Tensor expected_gradient =
      torch::autograd::grad({(expected * weights).sum()}, {wide})[0];
  EXPECT_LE(max_difference(gradient, expected_gradient),
            1e-5 * std::max(1.0, expected_gradient.abs().max().item<double>()));
  EXPECT_TRUE(at::equal(narrow, x)) << "the input must stay as it was";
  // A second pass backward over the same graph gives the same: nothing that was saved was
  // overwritten.
  EXPECT_TRUE(at::equal(gradient, torch::autograd::grad({(found * weights).sum()}, {narrow})[0]));
}

TEST(RmsNorm, EqualsTheFormula) {
  const at::Tensor weight = random_tensor({24}, 1);
  constexpr double kEps = 0.1;  // large, so that its place in the formula shows
  expect_same(
      random_tensor({7, 24}, 2),
      [&](const at::Tensor& x) { return model::rms_norm(x, weight, kEps); },
      [&](const at::Tensor& x) {
        return weight.to(at::kDouble) * x / (x.square().mean(-1, true) + kEps).sqrt();
      });
}

TEST(Rope, EqualsRotationsInThePlane) {
  weights::DecoderConfig config;
  config.head_dim = 10;
  config.rope_theta = 500.0;
  const std::vector<std::int64_t> positions{0, 1, 2, 17, 3};
  const model::RopeAngles angles =
      model::RopeTable(config, at::kCPU).angles(at::tensor(positions, at::kLong));
  expect_same(
      random_tensor({5, 3, 10}, 3),
      [&](const at::Tensor& x) { return model::apply_rope(x, angles); },
      [&](const at::Tensor& x) {
        std::vector<at::Tensor> tokens;
        for (std::size_t n = 0; n < positions.size(); ++n) {
          const auto token = static_cast<std::int64_t>(n);
          std::vector<at::Tensor> low;
          std::vector<at::Tensor> high;
          for (std::int64_t i = 0; i < 5; ++i) {
            const double angle =
                static_cast<double>(positions[n]) * std::pow(500.0, -static_cast<double>(i) / 5.0);
            const at::Tensor first = x.select(0, token).select(1, i);
            const at::Tensor second = x.select(0, token).select(1, i + 5);
            low.push_back(first * std::cos(angle) - second * std::sin(angle));
            high.push_back(first * std::sin(angle) + second * std::cos(angle));
          }
          low.insert(low.end(), high.begin(), high.end());
          tokens.push_back(at::stack(low, 1));
        }
        return at::stack(tokens);
      });
}

TEST(FeedForward, EqualsTheFormula) {
  const model::FeedForwardWeights weights{{random_tensor({30, 12}, 4), {}},
                                          {random_tensor({30, 12}, 5), random_tensor({30}, 6)},
                                          {random_tensor({12, 30}, 7), {}}};
  expect_same(
      random_tensor({9, 12}, 8) * 0.5,
      [&](const at::Tensor& x) { return model::feed_forward(weights, x, {}); },
      [&](const at::Tensor& x) {
        const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
        const at::Tensor gate = at::mm(x, wide(weights.gate.weight).t());
        const at::Tensor up = at::mm(x, wide(weights.up.weight).t()) + wide(weights.up.bias);
        return at::mm(gate / (1 + (-gate).exp()) * up, wide(weights.down.weight).t());
      });
}

TEST(FeedForward, EqualsTheFormulaOfGemmasGate) {
  model::FeedForwardWeights weights{{random_tensor({30, 12}, 4), {}},
                                    {random_tensor({30, 12}, 5), {}},
                                    {random_tensor({12, 30}, 7), {}}};
  weights.activation = weights::Activation::kGeluTanh;
  expect_same(
      random_tensor({9, 12}, 8) * 0.5,
      [&](const at::Tensor& x) { return model::feed_forward(weights, x, {}); },
      [&](const at::Tensor& x) {
        const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
        const at::Tensor gate = at::mm(x, wide(weights.gate.weight).t());
        const at::Tensor up = at::mm(x, wide(weights.up.weight).t());
        const at::Tensor inner =
            std::sqrt(2 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
        return at::mm(0.5 * gate * (1 + inner.tanh()) * up, wide(weights.down.weight).t());
      });
}

TEST(HeadLoss, EqualsTheFormulaUnderACap) {
  const at::Tensor head = random_tensor({37, 16}, 9);
  const at::Tensor targets =
      at::randint(37, {80}, at::detail::createCPUGenerator(10), at::TensorOptions(at::kLong));
  const at::Tensor weights = random_tensor({80}, 11).abs();
  expect_same(
      random_tensor({80, 16}, 12),
      [&](const at::Tensor& x) {
        return model::weighted_cross_entropy(x, head, targets, weights, 2.5);
      },
      [&](const at::Tensor& x) {
        const at::Tensor powers = ((at::mm(x, head.to(at::kDouble).t()) / 2.5).tanh() * 2.5).exp();
        const at::Tensor shares = powers / powers.sum(1, true);
        return -(shares.gather(1, targets.unsqueeze(1)).squeeze(1).log() * weights.to(at::kDouble))
                    .sum();
      });
}

// 150 rows: more than two of the pieces the head is computed in.
TEST(HeadLoss, EqualsTheFormula) {
  const at::Tensor head = random_tensor({37, 16}, 9);
  const at::Tensor targets =
      at::randint(37, {150}, at::detail::createCPUGenerator(10), at::TensorOptions(at::kLong));
  const at::Tensor weights = random_tensor({150}, 11).abs();
  expect_same(
      random_tensor({150, 16}, 12),
      [&](const at::Tensor& x) { return model::weighted_cross_entropy(x, head, targets, weights); },
      [&](const at::Tensor& x) {
        const at::Tensor powers = at::mm(x, head.to(at::kDouble).t()).exp();
        const at::Tensor shares = powers / powers.sum(1, true);
        return -(shares.gather(1, targets.unsqueeze(1)).squeeze(1).log() * weights.to(at::kDouble))
                    .sum();
      });
}

TEST(HeadLoss, StaysFiniteAtLargeLogits) {
  const at::Tensor hidden = at::tensor({200.0F, -200.0F}).view({2, 1}).set_requires_grad(true);
  const at::Tensor head = at::tensor({1.0F, -1.0F}).view({2, 1});
  const at::Tensor loss = model::weighted_cross_entropy(hidden, head, at::tensor({1, 1}, at::kLong),
                                                        at::tensor({1.0F, 3.0F}));
  EXPECT_NEAR(loss.item<double>(), 400.0, 1e-3);  // the first is wrong by 400, the second right
  const at::Tensor gradient = torch::autograd::grad({loss}, {hidden})[0];
  EXPECT_NEAR(gradient[0].item<double>(), 2.0,
              1e-6);  // sum of (share - target) x head = 1 x 1 - 1 x -1
  EXPECT_NEAR(gradient[1].item<double>(), 0.0, 1e-6);
}

}  // namespace
}  // namespace baton::test
