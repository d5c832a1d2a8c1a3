#pragma once
// The loss of one micro-batch slot and its gradients for what is trained: all that a training
// step asks of a model. What is done with gradients is the sink's affair. Autograd is the first form
// and stays as the slow twin of any other.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "baton/model/adapter.hpp"
#include "baton/model/adapter_use.hpp"
#include "baton/model/decoder.hpp"

namespace baton::model {

/// One slot as the model reads it: B rows without their last tokens, and the M places of the loss.
struct TrainingSlot {
  std::vector<std::vector<std::int32_t>> inputs;  // [B]
  std::vector<std::int64_t> label_positions;      // [M] in the packed inputs
  std::vector<std::int64_t> targets;              // [M] token ids
  std::vector<float> weights;                     // [M] of each target's loss
  double total_weight = 1;                        // that all of them are divided by
  DropoutKey dropout;
};

/// A tensor that is learnt, and where its gradient is added up in place.
struct TrainedTensor {
  at::Tensor value;     // fp32: a factor, a gate, whatever the pass's adapters and weights stand on
  at::Tensor gradient;  // shaped alike
  std::int64_t layer = 0;
};

/// Where loss and gradients go. A pass calls it in this order: trained and add_loss once, then
/// layers_done with falling layers while the backward pass runs, at last with 0.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  /// The slot's loss, a scalar fp32, before the backward pass begins.
  virtual void add_loss(const at::Tensor& loss) = 0;
  /// All that is trained, each once; everything else is frozen. Lives as long as the pass runs.
  virtual std::span<const TrainedTensor> trained() const = 0;
  /// Nothing more is added to the gradients of `first_layer` and the layers above it. May be called
  /// from inside the backward pass, so it keeps what it meets to itself.
  virtual void layers_done(std::int64_t first_layer) noexcept = 0;
};

class TrainingPass {
 public:
  virtual ~TrainingPass() = default;
  /// sum_m weights[m] / total_weight * -log softmax(head hidden[position m])[targets[m]], its
  /// gradient added to the sink's.
  virtual void loss_and_gradients(const TrainingSlot& slot,
                                  const AdapterUses& uses,
                                  GradientSink& sink) = 0;
};

/// The same loss of the same places, of a model that is not learning: without dropout, and no
/// gradient is made.
at::Tensor loss_alone(const Decoder& model, const TrainingSlot& slot, const AdapterUses& uses);

/// By autograd. `model` outlives it.
std::unique_ptr<TrainingPass> make_autograd_pass(const Decoder& model);

}  // namespace baton::model
