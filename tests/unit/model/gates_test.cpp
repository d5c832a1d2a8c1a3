// Gates as weighers of a pass: weights against the formula written out number by number, one gate's
// gradient against differences, several experts in one pass against sums of single ones.

#include "baton/model/gates.hpp"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/model/training_pass.hpp"
#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::Adapter;
using model::AdapterUse;
using model::AdapterUses;
using model::Gates;

/// Takes what the pass gives and nothing else.
class GateSink final : public model::GradientSink {
 public:
  explicit GateSink(const Gates& gates) {
    for (std::size_t layer = 0; layer < gates.layers.size(); ++layer) {
      for (const at::Tensor& gate : gates.layers[layer]) {
        if (gate.defined()) {
          trained_.push_back({gate, at::zeros_like(gate), static_cast<std::int64_t>(layer)});
        }
      }
    }
  }
  void add_loss(const at::Tensor& value) override { loss = value.item<double>(); }
  std::span<const model::TrainedTensor> trained() const override { return trained_; }
  void layers_done(std::int64_t) noexcept override {}

  double loss = 0;

 private:
  std::vector<model::TrainedTensor> trained_;
};

class GatesTest : public ::testing::Test {
 protected:
  GatesTest() : model_(load_tiny("tiny-gqa-tied")) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      adapters_.push_back(random_adapter(model_->config(), 3, 12, {0, 1}, seed));
      gates_.push_back(random_gates(adapters_.back(), seed));
    }
    rows_ = {random_row(7, model_->config().vocab_size, 4),
             random_row(5, model_->config().vocab_size, 5)};
  }

  static Gates random_gates(const Adapter& adapter, std::uint64_t seed) {
    Gates gates = zero_gates(adapter);
    base::Random random(seed);
    for (auto& layer : gates.layers) {
      for (at::Tensor& gate : layer) {
        if (gate.defined()) {
          for (std::int64_t i = 0; i < gate.numel(); ++i) {
            gate.data_ptr<float>()[i] = static_cast<float>(random.uniform() - 0.3);
          }
        }
      }
    }
    return gates;
  }

  at::Tensor hidden(const AdapterUses& uses) const { return hidden_of(*model_, rows_, &uses); }

  std::unique_ptr<model::Decoder> model_;
  std::vector<Adapter> adapters_;
  std::vector<Gates> gates_;
  std::vector<Row> rows_;
};

double standard_score(const at::Tensor& x, const at::Tensor& v) {
  const auto standard = [](const at::Tensor& row) {
    const at::Tensor wide = row.to(at::kDouble);
    const double mean = wide.mean().item<double>();
    const double variance = (wide - mean).square().mean().item<double>();
    return (wide - mean) / std::sqrt(variance + 1e-5);
  };
  return (standard(x) * standard(v)).sum().item<double>() /
         std::sqrt(static_cast<double>(x.numel()));
}

TEST_F(GatesTest, TheTwoLargestSharesAreKeptAndSumToOne) {
  const at::NoGradGuard frozen;
  const auto weigher = model::make_top_gates(gates_, 2);
  const at::Tensor x = at::randn({6, model_->config().hidden_size}) * 3 + 1;
  const at::Tensor found = weigher->weights(x, 1, 2);
  ASSERT_EQ(found.sizes().vec(), (std::vector<std::int64_t>{3, 6}));
  for (std::int64_t token = 0; token < 6; ++token) {
    std::vector<double> shares;
    for (const Gates& gates : gates_) {
      shares.push_back(std::exp(standard_score(x[token], gates.layers[1][2])));
    }
    const double least = *std::min_element(shares.begin(), shares.end());
    double sum = 0;
    for (const double share : shares) {
      sum += share == least ? 0 : share;
    }
    for (std::int64_t use = 0; use < 3; ++use) {
      const double share = shares[static_cast<std::size_t>(use)];
      EXPECT_NEAR(found[use][token].item<double>(), share == least ? 0 : share / sum, 1e-5);
    }
  }
}

TEST_F(GatesTest, OneAloneWeighsOneAndOfEqualsTheFirstAreKept) {
  const at::NoGradGuard frozen;
  const at::Tensor x = at::randn({4, model_->config().hidden_size});
  const auto alone = model::make_top_gates(std::span(gates_).first(1), 2);
  EXPECT_TRUE(at::equal(alone->weights(x, 0, 0), at::ones({1, 4})));
  const std::vector<Gates> zeros{zero_gates(adapters_[0]), zero_gates(adapters_[1]),
                                 zero_gates(adapters_[2])};
  const at::Tensor equal = model::make_top_gates(zeros, 2)->weights(x, 0, 0);
  EXPECT_TRUE(at::equal(equal, at::tensor({0.5F, 0.5F, 0.0F}).unsqueeze(1).expand({3, 4})));

  AdapterUses uses(adapters_[0]);
  const at::Tensor plain = hidden(uses);
  uses.weigher = alone;
  EXPECT_TRUE(at::equal(hidden(uses), plain)) << "weight 1 changes no bit";
}

// Weights that are the same on every token are those that a use may have anyway.
TEST_F(GatesTest, WeightsMadeInThePassAreWeightsOfUses) {
  const at::NoGradGuard frozen;
  const std::vector<Gates> zeros{zero_gates(adapters_[0]), zero_gates(adapters_[1])};
  AdapterUses mixed({AdapterUse{&adapters_[0], 0.5}, AdapterUse{&adapters_[1]}});
  mixed.weigher = model::make_top_gates(zeros, 2);
  const AdapterUses fixed({AdapterUse{&adapters_[0], 0.25}, AdapterUse{&adapters_[1], 0.5}});
  EXPECT_LE(max_difference(hidden(mixed), hidden(fixed)), 1e-5);

  // On some tokens only, with weights of its own.
  AdapterUse some{&adapters_[0]};
  some.tokens = at::tensor(std::vector<std::int64_t>{2, 5, 9}, at::kLong);
  some.token_weights = at::tensor(std::vector<float>{1.0F, 2.0F, 0.5F});
  AdapterUse half = some;
  half.weight = 0.5;
  mixed.uses = {some, AdapterUse{&adapters_[1]}};
  EXPECT_LE(max_difference(hidden(mixed), hidden(AdapterUses({half, {&adapters_[1], 0.5}}))), 1e-5);
}

// The whole pass in doubles, token by token: each linear has the parts of the two experts that its
// input is nearest to.
TEST_F(GatesTest, LogitsOfAMixtureAreTheTwinsAlsoThroughTheCache) {
  const at::NoGradGuard frozen;
  TwinLlama twin(tiny_folder("tiny-gqa-tied"), model_->config());
  twin.added = [this](const at::Tensor& x, std::int64_t layer, std::size_t linear) {
    std::vector<at::Tensor> tokens;
    for (std::int64_t token = 0; token < x.size(0); ++token) {
      std::vector<std::pair<double, std::size_t>> shares;
      for (std::size_t use = 0; use < gates_.size(); ++use) {
        const at::Tensor& gate = gates_[use].layers[static_cast<std::size_t>(layer)][linear];
        shares.emplace_back(std::exp(standard_score(x[token], gate)), use);
      }
      std::sort(shares.rbegin(), shares.rend());
      at::Tensor sum;
      for (const auto& [share, use] : {shares[0], shares[1]}) {
        const model::LoraFactors& factors =
            adapters_[use].layers[static_cast<std::size_t>(layer)][linear];
        const at::Tensor part =
            at::mv(factors.b.to(at::kDouble), at::mv(factors.a.to(at::kDouble), x[token])) *
            (adapters_[use].scale() * share / (shares[0].first + shares[1].first));
        sum = sum.defined() ? sum + part : part;
      }
      tokens.push_back(sum);
    }
    return at::stack(tokens);
  };
  AdapterUses mixed;
  for (const Adapter& adapter : adapters_) {
    mixed.uses.push_back({&adapter});
  }
  mixed.weigher = model::make_top_gates(gates_, 2);
  const at::Tensor wanted = at::cat({twin.logits(rows_[0]), twin.logits(rows_[1])});
  EXPECT_LE(max_difference(model_->logits(hidden(mixed)), wanted), 1e-4);
  EXPECT_GT(max_difference(model_->logits(hidden(AdapterUses(adapters_[0]))), wanted), 1e-2);

  const Row prompt(rows_[0].begin(), rows_[0].end() - 1);
  model::KvCache cache = cache_of(*model_, {prompt}, 4, &mixed);
  const at::Tensor last = at::tensor(std::vector<std::int64_t>{rows_[0].back()}, at::kLong);
  const at::Tensor stepped = model_->logits(model_->forward_step(last, &mixed, cache));
  EXPECT_LE(max_difference(stepped[0], wanted[static_cast<std::int64_t>(rows_[0].size()) - 1]),
            1e-4);
}

TEST_F(GatesTest, GradientOfAGateIsThatOfDifferences) {
  model::TrainingSlot slot;
  slot.inputs = {rows_[0], rows_[1]};
  slot.label_positions = {4, 5, 6, 10, 11};
  slot.targets = {4, 5, 6, 7, 8};
  slot.weights = {0, 1, 1, 0, 1};
  slot.total_weight = 3;
  slot.dropout.row_indices = {0, 1};
  const auto pass = model::make_autograd_pass(*model_);
  const auto loss_at = [&](const Gates& gates) {
    AdapterUses uses(adapters_[0]);
    uses.weigher = model::make_gate(gates);
    GateSink sink(gates);
    pass->loss_and_gradients(slot, uses, sink);
    return std::pair(
        sink.loss, std::vector<model::TrainedTensor>(sink.trained().begin(), sink.trained().end()));
  };
  const auto [loss, trained] = loss_at(gates_[0]);
  EXPECT_FALSE(adapters_[0].layers[0][0].a.requires_grad()) << "factors stay frozen";
  EXPECT_EQ(trained.size(), 2U * model::kNumLinears);
  constexpr double kStep = 2e-2;
  for (std::size_t place = 0; place < trained.size(); place += 3) {
    const at::Tensor& gate = trained[place].value;
    const std::int64_t index = gate.numel() / 2;
    float* value = gate.data_ptr<float>() + index;
    const float before = *value;
    *value = before + static_cast<float>(kStep);
    const double above = loss_at(gates_[0]).first;
    *value = before - static_cast<float>(kStep);
    const double below = loss_at(gates_[0]).first;
    *value = before;
    EXPECT_NEAR(trained[place].gradient[index].item<double>(), (above - below) / (2 * kStep), 2e-4)
        << "tensor " << place;
  }
  EXPECT_GT(trained.front().gradient.abs().max().item<double>(), 0);
}

TEST_F(GatesTest, ThroughArraysAndBack) {
  const std::vector<expert::NamedArray> arrays = arrays_of(gates_[0]);
  EXPECT_EQ(arrays.front().name, "base_model.model.model.layers.0.self_attn.q_proj.gate");
  const Gates again = gates_from_arrays(arrays, adapters_[0], "there");
  const std::vector<expert::NamedArray> same = arrays_of(again);
  ASSERT_EQ(same.size(), arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_EQ(same[i].values, arrays[i].values);
  }
  std::vector<expert::NamedArray> fewer(arrays.begin(), arrays.end() - 1);
  try {
    gates_from_arrays(fewer, adapters_[0], "there");
    FAIL() << "a gate is missing";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    EXPECT_THAT(error.what(), testing::HasSubstr(arrays.back().name));
  }
  std::vector<expert::NamedArray> wider = arrays;
  wider[0].shape = {1};
  wider[0].values = {1};
  EXPECT_THROW(gates_from_arrays(wider, adapters_[0], "there"), base::Error);
  std::vector<expert::NamedArray> more = arrays;
  more.push_back({"another", {1}, {1}});
  EXPECT_THROW(gates_from_arrays(more, adapters_[0], "there"), base::Error);
}

}  // namespace
}  // namespace baton::test
