// LoRA: against weights with the factors merged in, and gradients against autograd of the twin in
// doubles.

#include "baton/model/adapter.hpp"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "baton/base/error.hpp"
#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::Adapter;
using model::AdapterUses;
using model::Decoder;

std::vector<std::int64_t> all_layers(const weights::DecoderConfig& config) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    layers.push_back(layer);
  }
  return layers;
}

class LoraOn : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(
    Folders,
    LoraOn,
    ::testing::Values("tiny-gqa-tied", "tiny-bias", "tiny-head-dim", "tiny-mha-untied"),
    [](const auto& parameter) {
      std::string name = parameter.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_P(LoraOn, EqualsMergedWeights) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const TwinLlama twin(tiny_folder(GetParam()), model->config());
  const Row row = random_row(18, model->config().vocab_size, 1);
  const Adapter adapter = random_adapter(model->config(), 3, 12, all_layers(model->config()), 2);
  const AdapterUses set(adapter);
  const at::Tensor expected = twin.logits(row, {{&adapter, 1.0}});
  EXPECT_GT(max_difference(expected, twin.logits(row)), 0.1) << "the adapter must matter";
  EXPECT_LE(max_difference(logits_of(*model, {row}, &set), expected), 5e-5);
}

TEST_P(LoraOn, TwoAdaptersMixByTheirWeights) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const TwinLlama twin(tiny_folder(GetParam()), model->config());
  const Row row = random_row(11, model->config().vocab_size, 3);
  const Adapter first = random_adapter(model->config(), 2, 4, all_layers(model->config()), 4);
  const Adapter second = random_adapter(model->config(), 5, 5, {1}, 5);  // one layer only
  const AdapterUses set({{&first, 0.7}, {&second, -1.5}});
  EXPECT_LE(max_difference(logits_of(*model, {row}, &set),
                           twin.logits(row, {{&first, 0.7}, {&second, -1.5}})),
            5e-5);
}

TEST_P(LoraOn, AStepFromTheCacheUsesTheAdapter) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const Adapter adapter = random_adapter(model->config(), 3, 12, all_layers(model->config()), 6);
  const AdapterUses set(adapter);
  const Row whole = random_row(9, model->config().vocab_size, 7);
  model::KvCache cache = cache_of(*model, {Row(whole.begin(), whole.end() - 1)}, 1, &set);
  const at::Tensor found =
      model->forward_step(at::tensor({std::int64_t{whole.back()}}, at::kLong), &set, cache);
  EXPECT_LE(max_difference(found[0], hidden_of(*model, {whole}, &set)[-1]), 1e-5);
}

// A double copy whose factors are leaves of autograd.
Adapter double_leaves(const Adapter& adapter) {
  Adapter copy = adapter;
  for (auto& layer : copy.layers) {
    for (model::LoraFactors& factors : layer) {
      if (factors.a.defined()) {
        factors.a = factors.a.detach().to(at::kDouble).set_requires_grad(true);
        factors.b = factors.b.detach().to(at::kDouble).set_requires_grad(true);
      }
    }
  }
  return copy;
}

std::vector<at::Tensor> factors_of(const Adapter& adapter) {
  std::vector<at::Tensor> tensors;
  for (const auto& layer : adapter.layers) {
    for (const model::LoraFactors& factors : layer) {
      if (factors.a.defined()) {
        tensors.push_back(factors.a);
        tensors.push_back(factors.b);
      }
    }
  }
  return tensors;
}

// The loss over two packed rows, every path from it to the factors: attention, norms, RoPE, SwiGLU,
// the head.
TEST_P(LoraOn, GradientsEqualAutogradOfTheTwin) {
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const TwinLlama twin(tiny_folder(GetParam()), model->config());
  const std::int64_t vocab = model->config().vocab_size;
  const std::vector<Row> rows{random_row(13, vocab, 8), random_row(6, vocab, 9)};
  const Adapter adapter = random_adapter(model->config(), 3, 6, all_layers(model->config()), 10);
  for (const at::Tensor& factor : factors_of(adapter)) {
    factor.set_requires_grad(true);
  }
  const std::vector<std::int64_t> places{4, 9, 12, 14, 18};  // in the packed rows
  const at::Tensor targets = at::tensor({3, 1, 40, 5, 66}, at::kLong);
  const at::Tensor weights = at::tensor({1.0F, 0.5F, 2.0F, 1.0F, 0.25F});

  const AdapterUses set(adapter);
  const at::Tensor hidden =
      hidden_of(*model, rows, &set).index_select(0, at::tensor(places, at::kLong));
  const at::Tensor loss = model->target_loss(hidden, targets, weights);
  const auto found = torch::autograd::grad({loss}, factors_of(adapter));

  const Adapter exact = double_leaves(adapter);
  const at::Tensor logits =
      at::cat({twin.logits(rows[0], {{&exact, 1.0}}), twin.logits(rows[1], {{&exact, 1.0}})});
  const at::Tensor log_likelihood =
      at::log_softmax(logits.index_select(0, at::tensor(places, at::kLong)), 1)
          .gather(1, targets.unsqueeze(1))
          .squeeze(1);
  const at::Tensor exact_loss = -(log_likelihood * weights.to(at::kDouble)).sum();
  const auto expected = torch::autograd::grad({exact_loss}, factors_of(exact));

  EXPECT_NEAR(loss.item<double>(), exact_loss.item<double>(), 1e-4);
  ASSERT_EQ(found.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double size = expected[i].abs().max().item<double>();
    EXPECT_GT(size, 1e-4) << "factor " << i << " does not matter";
    largest = std::max(largest, max_difference(found[i], expected[i]) / size);
  }
  std::printf("%s: largest relative difference of gradients %.2e\n", GetParam().c_str(), largest);
  EXPECT_LE(largest, 5e-5);  // measured 5.0e-6
}

TEST(Adapter, ArraysGoThereAndBack) {
  const std::unique_ptr<Decoder> model = load_tiny("tiny-gqa-tied");
  const Adapter adapter = random_adapter(model->config(), 3, 6, {1}, 1);
  expert::ExpertState state;
  state.task = "qa";
  state.lora_rank = 3;
  state.lora_alpha = 6;
  state.lora_dropout = 0.25;
  state.arrays = arrays_of(adapter);
  ASSERT_EQ(state.arrays.size(), 14U);
  EXPECT_EQ(state.arrays[0].name, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(state.arrays[13].name, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
  const Adapter again = model::adapter_from_state(state, 2, at::kCPU);
  EXPECT_EQ(again.name, "qa");
  EXPECT_EQ(again.dropout, 0.25);
  EXPECT_EQ(again.scale(), 2.0);
  EXPECT_FALSE(again.layers[0][0].a.defined());
  const std::vector<at::Tensor> before = factors_of(adapter);
  const std::vector<at::Tensor> after = factors_of(again);
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(at::equal(before[i], after[i]));
  }
}

TEST(Adapter, ArraysThatDoNotFitAreRefused) {
  const std::unique_ptr<Decoder> model = load_tiny("tiny-gqa-tied");
  expert::ExpertState good;
  good.task = "qa";
  good.lora_rank = 3;
  good.lora_alpha = 6;
  good.arrays = arrays_of(random_adapter(model->config(), 3, 6, {0, 1}, 1));
  const auto refused = [](const expert::ExpertState& state, std::int64_t num_layers) {
    try {
      model::adapter_from_state(state, num_layers, at::kCPU);
      return false;
    } catch (const base::Error& error) {
      return error.kind() == base::ErrorKind::kModel;
    }
  };
  EXPECT_FALSE(refused(good, 2));
  EXPECT_TRUE(refused(good, 1)) << "arrays of a layer that the model has not";
  expert::ExpertState half = good;
  half.arrays.pop_back();
  EXPECT_TRUE(refused(half, 2)) << "A without B";
  expert::ExpertState other_rank = good;
  other_rank.lora_rank = 4;
  EXPECT_TRUE(refused(other_rank, 2));
  expert::ExpertState unknown = good;
  unknown.arrays.push_back(
      {"base_model.model.model.layers.0.self_attn.z_proj.lora_A.weight", {3, 32}, {}});
  EXPECT_TRUE(refused(unknown, 2));
  expert::ExpertState short_values = good;
  short_values.arrays[0].values.pop_back();
  EXPECT_TRUE(refused(short_values, 2)) << "fewer values than the shape says";
}

class Dropout : public ::testing::Test {
 protected:
  Dropout()
      : model_(load_tiny("tiny-gqa-tied")),
        adapter_(random_adapter(model_->config(), 3, 6, {0, 1}, 1)) {
    adapter_.dropout = 0.4;
  }

  at::Tensor run(const std::vector<Row>& rows, const model::DropoutKey* key) const {
    const at::NoGradGuard frozen;
    const AdapterUses set(adapter_);
    return hidden_of(*model_, rows, &set, nullptr, key);
  }

  std::unique_ptr<Decoder> model_;
  Adapter adapter_;
  std::vector<Row> rows_{random_row(8, 96, 1), random_row(5, 96, 2)};
};

TEST_F(Dropout, SameKeySameMask) {
  const model::DropoutKey key{7, 3, {20, 21}};
  const at::Tensor once = run(rows_, &key);
  EXPECT_TRUE(at::equal(once, run(rows_, &key)));
  EXPECT_GT(max_difference(once, run(rows_, nullptr)), 1e-2);
  for (const model::DropoutKey& other :
       {model::DropoutKey{8, 3, {20, 21}}, model::DropoutKey{7, 4, {20, 21}},
        model::DropoutKey{7, 3, {22, 23}}}) {
    EXPECT_GT(max_difference(once, run(rows_, &other)), 1e-2);
  }
}

TEST_F(Dropout, DoesNotDependOnPacking) {
  const model::DropoutKey both{7, 3, {20, 21}};
  const model::DropoutKey turned{7, 3, {21, 20}};
  const model::DropoutKey alone{7, 3, {21}};
  const at::Tensor together = run(rows_, &both);
  EXPECT_LE(max_difference(together.narrow(0, 8, 5), run({rows_[1]}, &alone)), 1e-5);
  EXPECT_LE(
      max_difference(together.narrow(0, 8, 5), run({rows_[1], rows_[0]}, &turned).narrow(0, 0, 5)),
      1e-5);
}

// One linear alone is linear in its mask, so its mean over many masks is the pass without dropout.
TEST_F(Dropout, KeepsTheExpectation) {
  for (auto& layer : adapter_.layers) {
    layer = {};
  }
  const Adapter full = random_adapter(model_->config(), 3, 6, {1}, 1);
  adapter_.layers[1][6] = full.layers[1][6];  // the last linear: only a norm comes after it
  const at::NoGradGuard frozen;
  at::Tensor sum = at::zeros({8, 32}, at::kDouble);
  constexpr std::int64_t kTimes = 600;
  const at::Tensor plain = run({rows_[0]}, nullptr);
  adapter_.layers[1][6].b.mul_(1e-2);  // small beside x: the norm is then linear to first order
  const at::Tensor kept = run({rows_[0]}, nullptr);
  for (std::int64_t step = 0; step < kTimes; ++step) {
    const model::DropoutKey key{7, step, {20}};
    sum += run({rows_[0]}, &key);
  }
  Adapter none = adapter_;
  none.layers[1][6] = {};
  const AdapterUses nothing(none);
  const at::Tensor base = hidden_of(*model_, {rows_[0]}, &nothing);
  const double effect = (kept - base).norm().item<double>();
  const double error =
      (sum / static_cast<double>(kTimes) - kept.to(at::kDouble)).norm().item<double>();
  EXPECT_GT(max_difference(plain, kept), 0);
  EXPECT_LT(error, 0.15 * effect)
      << "without the factor 1 / (1 - p) the error would be 0.4 of the effect";
}

TEST_F(Dropout, GradientsPassThroughTheSameMask) {
  const model::DropoutKey key{7, 3, {20, 21}};
  const AdapterUses set(adapter_);
  at::Tensor a = adapter_.layers[0][4].a;
  a.set_requires_grad(true);
  const auto loss_of = [&] {
    return hidden_of(*model_, rows_, &set, nullptr, &key).square().mean();
  };
  const at::Tensor gradient = torch::autograd::grad({loss_of()}, {a})[0];
  const at::NoGradGuard frozen;
  // Along the gradient itself: the sum over all entries is far above the noise of fp32.
  const double size = gradient.norm().item<double>();
  const at::Tensor direction = gradient / size;
  constexpr double kStep = 2e-2;
  a.add_(direction, kStep);
  const double above = loss_of().item<double>();
  a.sub_(direction, 2 * kStep);
  const double below = loss_of().item<double>();
  EXPECT_NEAR((above - below) / (2 * kStep), size, 0.02 * size);
}

}  // namespace
}  // namespace baton::test
