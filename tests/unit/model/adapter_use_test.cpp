// Adapters in use: on some tokens, with weights a token and layer, several in one batch. Against
// passes with one adapter on everything, and against the formula under plain autograd.

#include "baton/model/adapter_use.hpp"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include "model/lora_linear.hpp"
#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::Adapter;
using model::AdapterUse;
using model::AdapterUses;
using model::Decoder;

class AdapterUseTest : public ::testing::Test {
 protected:
  AdapterUseTest() : model_(load_tiny("tiny-gqa-tied")), config_(model_->config()) {
    std::uint64_t seed = 20;
    for (const int length : {7, 11, 15}) {
      adapters_.push_back(random_adapter(config_, 3, 12, {0, 1}, seed++));
      rows_.push_back(random_row(length, config_.vocab_size, seed++));
    }
    offsets_ = {0, 7, 18, 33};
  }

  at::Tensor hidden(const AdapterUses& uses) const { return hidden_of(*model_, rows_, &uses); }

  std::unique_ptr<Decoder> model_;
  weights::DecoderConfig config_;
  std::vector<Adapter> adapters_;
  std::vector<Row> rows_;  // of 7, 11 and 15 tokens
  std::vector<std::int64_t> offsets_;
};

TEST_F(AdapterUseTest, TokensOfRowsAndFromPositions) {
  const auto list = [](const at::Tensor& tensor) {
    return std::vector<std::int64_t>(tensor.data_ptr<std::int64_t>(),
                                     tensor.data_ptr<std::int64_t>() + tensor.numel());
  };
  const std::vector<std::int64_t> offsets{0, 2, 5, 6};
  EXPECT_EQ(list(model::tokens_from(offsets, std::vector<std::int64_t>{1, 0, 4}, at::kCPU)),
            (std::vector<std::int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(list(model::tokens_of_rows(offsets, std::vector<std::int64_t>{0, 2}, at::kCPU)),
            (std::vector<std::int64_t>{0, 1, 5}));
  EXPECT_EQ(model::tokens_of_rows(offsets, {}, at::kCPU).numel(), 0);
}

TEST_F(AdapterUseTest, EachRowOfABatchMayHaveItsOwnExpert) {
  const at::NoGradGuard frozen;
  AdapterUses uses;
  for (std::int64_t row = 0; row < 3; ++row) {
    AdapterUse use{&adapters_[static_cast<std::size_t>(row)]};
    use.tokens = model::tokens_of_rows(offsets_, std::vector{row}, at::kCPU);
    uses.uses.push_back(use);
  }
  const at::Tensor together = hidden(uses);
  const at::Tensor base = hidden({});
  for (std::size_t row = 0; row < 3; ++row) {
    const AdapterUses own(adapters_[row]);
    const at::Tensor alone = hidden_of(*model_, {rows_[row]}, &own);
    const at::Tensor found = together.slice(0, offsets_[row], offsets_[row + 1]);
    EXPECT_LE(max_difference(found, alone), 2e-5) << "row " << row;
    EXPECT_GT(max_difference(found, base.slice(0, offsets_[row], offsets_[row + 1])), 1e-2);
  }
}

// From a position on: what stands before it is the base's, as attention only looks back.
TEST_F(AdapterUseTest, BeforeItsFirstTokenAnAdapterDoesNothing) {
  const at::NoGradGuard frozen;
  AdapterUse use{&adapters_[0]};
  use.tokens = model::tokens_from(offsets_, std::vector<std::int64_t>{3, 11, 0}, at::kCPU);
  const at::Tensor found = hidden(AdapterUses({use}));
  const at::Tensor base = hidden({});
  const at::Tensor everywhere = hidden(AdapterUses(adapters_[0]));
  EXPECT_LE(max_difference(found.slice(0, 0, 3), base.slice(0, 0, 3)), 2e-5);
  EXPECT_GT(max_difference(found.slice(0, 3, 7), base.slice(0, 3, 7)), 1e-2);
  EXPECT_GT(max_difference(found.slice(0, 3, 7), everywhere.slice(0, 3, 7)), 1e-3)
      << "keys and values before it are the base's";
  EXPECT_LE(max_difference(found.slice(0, 7, 18), base.slice(0, 7, 18)), 2e-5);
  EXPECT_LE(max_difference(found.slice(0, 18, 33), everywhere.slice(0, 18, 33)), 2e-5);
}

TEST_F(AdapterUseTest, WeightsOfTokensAndLayersAreFactors) {
  const at::NoGradGuard frozen;
  AdapterUse half{&adapters_[0], 0.5};
  AdapterUse gated{&adapters_[0]};
  gated.token_weights = at::full({33}, 0.5);
  EXPECT_LE(max_difference(hidden(AdapterUses({half})), hidden(AdapterUses({gated}))), 2e-5);
  AdapterUse by_layer{&adapters_[0], 2.0};
  by_layer.token_weights = at::zeros({2, 33});
  by_layer.token_weights[1].fill_(0.25);
  AdapterUse second_only{&adapters_[0], 0.5};
  second_only.layers = {1};
  EXPECT_LE(max_difference(hidden(AdapterUses({by_layer})), hidden(AdapterUses({second_only}))),
            2e-5);
  EXPECT_GT(max_difference(hidden(AdapterUses({half})), hidden(AdapterUses({second_only}))), 1e-3);
}

TEST_F(AdapterUseTest, AStepTakesRowsAsTokens) {
  const at::NoGradGuard frozen;
  AdapterUse prompt{&adapters_[0]};
  prompt.tokens = model::tokens_of_rows(offsets_, std::vector<std::int64_t>{0, 2}, at::kCPU);
  AdapterUse step{&adapters_[0]};
  step.tokens = at::tensor({0, 2}, at::kLong);
  const AdapterUses in_prompt({prompt});
  const AdapterUses in_step({step});
  model::KvCache cache = cache_of(*model_, rows_, 1, &in_prompt);
  const at::Tensor found = model_->forward_step(at::tensor({5, 6, 7}, at::kLong), &in_step, cache);
  for (std::size_t row = 0; row < 3; ++row) {
    Row longer = rows_[row];
    longer.push_back(static_cast<std::int32_t>(5 + row));
    const AdapterUses own(adapters_[0]);
    const at::Tensor expected = hidden_of(*model_, {longer}, row == 1 ? nullptr : &own)[-1];
    EXPECT_LE(max_difference(found[static_cast<std::int64_t>(row)], expected), 2e-5);
  }
}

// y = x W^T + scale * w (x A^T) B^T on the chosen tokens, in doubles under plain autograd.
TEST_F(AdapterUseTest, GradientsOfFactorsInputAndWeightsEqualTheFormula) {
  at::manual_seed(3);
  Adapter adapter = adapters_[1];
  model::LoraFactors& factors = adapter.layers[1][2];
  const std::int64_t in = factors.a.size(1);
  const std::int64_t out = factors.b.size(0);
  const at::Tensor chosen = at::tensor({1, 2, 5}, at::kLong);
  const model::FrozenLinear linear{at::randn({out, in}), at::randn({out})};
  const at::Tensor direction = at::randn({6, out});
  at::Tensor x = at::randn({6, in});
  at::Tensor weights = at::rand({2, 3});
  for (const at::Tensor* leaf : {&x, &weights, &factors.a, &factors.b}) {
    leaf->set_requires_grad(true);
  }
  AdapterUse use{&adapter, 0.7};
  use.tokens = chosen;
  use.token_weights = weights;
  const AdapterUses uses({use});
  const at::Tensor y = model::apply_linear(linear, x, {&uses, 1, nullptr, nullptr}, 2);
  torch::autograd::backward({(y * direction).sum()}, {});

  const auto leaf_of = [](const at::Tensor& tensor) {
    return tensor.detach().to(at::kDouble).set_requires_grad(true);
  };
  const at::Tensor x2 = leaf_of(x);
  const at::Tensor w2 = leaf_of(weights);
  const at::Tensor a2 = leaf_of(factors.a);
  const at::Tensor b2 = leaf_of(factors.b);
  const at::Tensor part = at::mm(at::mm(x2.index_select(0, chosen), a2.t()), b2.t()) *
                          w2[1].unsqueeze(1) * (0.7 * adapter.scale());
  const at::Tensor expected =
      at::linear(x2, linear.weight.to(at::kDouble), linear.bias.to(at::kDouble))
          .index_add(0, chosen, part);
  torch::autograd::backward({(expected * direction.to(at::kDouble)).sum()}, {});
  EXPECT_LE(max_difference(y, expected), 3e-5);
  EXPECT_LE(max_difference(x.grad(), x2.grad()), 1e-5);
  EXPECT_LE(max_difference(weights.grad(), w2.grad()), 2e-6);
  EXPECT_LE(max_difference(factors.a.grad(), a2.grad()), 5e-6);
  EXPECT_LE(max_difference(factors.b.grad(), b2.grad()), 5e-6);
  EXPECT_GT(weights.grad()[1].abs().sum().item<float>(), 0.1F);
}

TEST(InputEmbedder, InsertedEmbeddingsTakeThePlaceOfTokens) {
  const at::Tensor table = at::arange(20, at::kFloat).view({10, 2});
  const model::TokenEmbedder embedder(table);
  model::PackedRows rows = model::pack_rows(std::vector<Row>{{1, 2, 3}, {4, 5}}, at::kCPU);
  const at::Tensor plain = embedder.embed(rows);
  EXPECT_TRUE(at::equal(plain, table.slice(0, 1, 6)));
  at::Tensor picture = at::full({2, 2}, -1.0F).set_requires_grad(true);
  rows.insertions = {{1, picture}, {4, at::full({1, 2}, -2.0F)}};
  const at::Tensor embedded = embedder.embed(rows);
  EXPECT_TRUE(
      at::equal(embedded.detach(),
                at::tensor({2.F, 3.F, -1.F, -1.F, -1.F, -1.F, 8.F, 9.F, -2.F, -2.F}).view({5, 2})));
  torch::autograd::backward({embedded.sum()}, {});
  EXPECT_TRUE(at::equal(picture.grad(), at::ones({2, 2})));
}

}  // namespace
}  // namespace baton::test
