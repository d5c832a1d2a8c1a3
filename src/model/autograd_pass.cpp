#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <utility>

#include "baton/model/training_pass.hpp"

namespace baton::model {

namespace {

class CallAfterAccumulation : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit CallAfterAccumulation(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

// For the length of a pass what is trained are leaves of autograd whose gradients are the sink's
// tensors; a hook on each counts its layer down.
class Leaves {
 public:
  Leaves(std::size_t num_layers, GradientSink& sink)
      : sink_(sink), num_missing_(num_layers, 0), lowest_done_(num_layers) {
    for (const TrainedTensor& tensor : sink.trained()) {
      attach(tensor);
    }
  }

  ~Leaves() {
    for (const at::Tensor& value : values_) {
      torch::autograd::impl::set_post_acc_grad_hooks(value, nullptr);
      value.mutable_grad() = at::Tensor();
      value.set_requires_grad(false);
    }
  }

  Leaves(const Leaves&) = delete;
  Leaves& operator=(const Leaves&) = delete;

 private:
  void attach(const TrainedTensor& tensor) {
    const auto layer = static_cast<std::size_t>(tensor.layer);
    const at::Tensor& value = tensor.value;
    values_.push_back(value);
    value.set_requires_grad(true);
    value.mutable_grad() = tensor.gradient;  // autograd adds to it in place
    ++num_missing_[layer];
    torch::autograd::impl::set_post_acc_grad_hooks(
        value, std::make_unique<CallAfterAccumulation>([this, layer] { one_less(layer); }));
  }

  // A layer is told only after those above it, so that the order is the same on every rank.
  void one_less(std::size_t layer) {
    --num_missing_[layer];
    const std::size_t before = lowest_done_;
    while (lowest_done_ > 0 && num_missing_[lowest_done_ - 1] == 0) {
      --lowest_done_;
    }
    if (lowest_done_ < before) {
      sink_.layers_done(static_cast<std::int64_t>(lowest_done_));
    }
  }

  GradientSink& sink_;
  std::vector<at::Tensor> values_;
  std::vector<std::int64_t> num_missing_;  // [L] tensors whose gradient is still to come
  std::size_t lowest_done_;
};

at::Tensor loss_of(const Decoder& model,
                   const TrainingSlot& slot,
                   const AdapterUses& uses,
                   const DropoutKey* dropout) {
  const at::Device& device = model.device();
  const PackedRows packed = pack_rows(slot.inputs, device);
  const at::Tensor hidden =
      model.forward_hidden(model.embedder().embed(packed), packed, &uses, nullptr, dropout);
  const at::Tensor labelled = hidden.index_select(
      0, on_device(at::tensor(slot.label_positions, at::kLong), device));              // [M, D]
  const at::Tensor targets = on_device(at::tensor(slot.targets, at::kLong), device);   // [M]
  const at::Tensor weights = on_device(at::tensor(slot.weights, at::kFloat), device);  // [M]
  return model.target_loss(labelled, targets, weights / slot.total_weight);
}

class AutogradPass final : public TrainingPass {
 public:
  explicit AutogradPass(const Decoder& model) : model_(model) {}

  void loss_and_gradients(const TrainingSlot& slot,
                          const AdapterUses& uses,
                          GradientSink& sink) override {
    const Leaves leaves(static_cast<std::size_t>(model_.config().num_hidden_layers), sink);
    const at::Tensor loss = loss_of(model_, slot, uses, &slot.dropout);
    {
      const at::NoGradGuard frozen;
      sink.add_loss(loss);
    }
    torch::autograd::backward({loss}, {});
    sink.layers_done(0);
  }

 private:
  const Decoder& model_;
};

}  // namespace

at::Tensor loss_alone(const Decoder& model, const TrainingSlot& slot, const AdapterUses& uses) {
  const at::NoGradGuard frozen;
  return loss_of(model, slot, uses, nullptr);
}

std::unique_ptr<TrainingPass> make_autograd_pass(const Decoder& model) {
  return std::make_unique<AutogradPass>(model);
}

}  // namespace baton::model
