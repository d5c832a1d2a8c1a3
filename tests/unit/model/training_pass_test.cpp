// One slot's loss and gradients through a sink: what it is told, in which order, and that a frozen
// adapter beside a trained one gets none. Against plain autograd over the whole pass.

#include "baton/model/training_pass.hpp"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::Adapter;
using model::AdapterUse;
using model::AdapterUses;
using model::LoraFactors;

/// Keeps gradients in tensors of its own and what they were when a layer was said to be done.
class Recorder final : public model::GradientSink {
 public:
  explicit Recorder(const Adapter& trained) : gradients_(trained) {
    std::int64_t layer_index = 0;
    for (auto& layer : gradients_.layers) {
      for (LoraFactors& factors : layer) {
        if (factors.a.defined()) {
          const LoraFactors values = factors;
          factors = {at::zeros_like(factors.a), at::zeros_like(factors.b)};
          trained_.push_back({values.a, factors.a, layer_index});
          trained_.push_back({values.b, factors.b, layer_index});
        }
      }
      ++layer_index;
    }
  }

  void add_loss(const at::Tensor& loss) override {
    EXPECT_TRUE(told.empty() || told.back() == 0) << "before the backward pass";
    told.clear();
    loss_sum += loss.item<double>();
  }
  std::span<const model::TrainedTensor> trained() const override { return trained_; }
  void layers_done(std::int64_t first_layer) noexcept override {
    told.push_back(first_layer);
    if (first_layer < static_cast<std::int64_t>(gradients_.layers.size())) {
      sums.push_back(at_place(first_layer, 0).a.abs().sum().item<double>());
    }
  }
  const LoraFactors& at_place(std::int64_t layer, int linear) const {
    return gradients_.layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(linear)];
  }

  std::vector<std::int64_t> told;
  std::vector<double> sums;  // of |dA| of the layer's first linear at that time
  double loss_sum = 0;

 private:
  Adapter gradients_;
  std::vector<model::TrainedTensor> trained_;
};

class TrainingPassTest : public ::testing::Test {
 protected:
  TrainingPassTest()
      : model_(load_tiny("tiny-gqa-tied")),
        trained_(random_adapter(model_->config(), 3, 12, {0, 1}, 5)),
        frozen_(random_adapter(model_->config(), 2, 8, {0, 1}, 6)),
        pass_(model::make_autograd_pass(*model_)) {
    const Row first = random_row(9, model_->config().vocab_size, 1);
    const Row second = random_row(6, model_->config().vocab_size, 2);
    slot_.inputs = {first, second};
    slot_.label_positions = {6, 7, 8, 13, 14};
    slot_.targets = {4, 5, 6, 7, 8};
    slot_.weights = {2, 1, 1, 2, 1};
    slot_.total_weight = 7;
    slot_.dropout.row_indices = {0, 1};
  }

  /// The same loss with everything left to autograd.
  at::Tensor plain_loss(const AdapterUses& uses) const {
    const model::PackedRows rows = model::pack_rows(slot_.inputs, at::kCPU);
    const at::Tensor hidden =
        model_->forward_hidden(model_->embedder().embed(rows), rows, &uses, nullptr);
    const at::Tensor labelled =
        hidden.index_select(0, at::tensor(slot_.label_positions, at::kLong));
    const at::Tensor all = at::log_softmax(model_->logits(labelled), 1);
    const at::Tensor chosen =
        all.gather(1, at::tensor(slot_.targets, at::kLong).unsqueeze(1)).squeeze(1);
    return -(chosen * at::tensor(slot_.weights)).sum() / slot_.total_weight;
  }

  std::unique_ptr<model::Decoder> model_;
  Adapter trained_;
  Adapter frozen_;
  model::TrainingSlot slot_;
  std::unique_ptr<model::TrainingPass> pass_;
};

TEST_F(TrainingPassTest, GradientsAreThoseOfAutogradAndOnlyTheTrainedOnes) {
  const AdapterUses uses({AdapterUse{&frozen_, 0.5}, AdapterUse{&trained_}});
  Recorder sink(trained_);
  pass_->loss_and_gradients(slot_, uses, sink);
  pass_->loss_and_gradients(slot_, uses, sink);  // adds up
  EXPECT_FALSE(frozen_.layers[0][0].a.requires_grad());
  EXPECT_FALSE(trained_.layers[0][0].a.requires_grad()) << "nothing is left on the factors";
  EXPECT_FALSE(trained_.layers[0][0].a.grad().defined());

  for (auto& layer : trained_.layers) {
    for (LoraFactors& factors : layer) {
      factors.a.set_requires_grad(true);
      factors.b.set_requires_grad(true);
    }
  }
  const at::Tensor loss = plain_loss(uses);
  torch::autograd::backward({loss}, {});
  EXPECT_NEAR(sink.loss_sum, 2 * loss.item<double>(), 1e-5);
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    for (int linear = 0; linear < model::kNumLinears; ++linear) {
      const LoraFactors& factors =
          trained_.layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(linear)];
      const LoraFactors& found = sink.at_place(layer, linear);
      EXPECT_LE(max_difference(found.a, 2 * factors.a.grad()), 1e-5) << layer << ", " << linear;
      EXPECT_LE(max_difference(found.b, 2 * factors.b.grad()), 1e-5) << layer << ", " << linear;
    }
  }
}

TEST_F(TrainingPassTest, LayersAreDoneFromTheLastToTheFirst) {
  Recorder sink(trained_);
  pass_->loss_and_gradients(slot_, AdapterUses(trained_), sink);
  ASSERT_EQ(sink.told, (std::vector<std::int64_t>{1, 0, 0}));
  EXPECT_GT(sink.sums[0], 0) << "layer 1 has its gradient when it is said to be done";
  EXPECT_EQ(sink.sums[1], sink.at_place(0, 0).a.abs().sum().item<double>());
}

TEST_F(TrainingPassTest, ALayerThatIsNotInUseIsNotWaitedFor) {
  AdapterUse first_only{&trained_};
  first_only.layers = {0};
  Recorder sink(trained_);
  pass_->loss_and_gradients(slot_, AdapterUses({first_only}), sink);
  EXPECT_EQ(sink.told.back(), 0);
  EXPECT_EQ(sink.at_place(1, 0).a.abs().sum().item<double>(), 0);
  EXPECT_GT(sink.at_place(0, 0).a.abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace baton::test
