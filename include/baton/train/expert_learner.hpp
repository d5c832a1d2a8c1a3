#pragma once
// One expert while it is trained: its rows and their order, its factors (or, where these are frozen,
// its gates) and their gradient side by side in two flat buffers, AdamW's moments, the schedule, the
// step. Knows no group and no model; the trainer steps one or several.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "baton/data/sampler.hpp"
#include "baton/data/training_row.hpp"
#include "baton/expert/training_state.hpp"
#include "baton/model/adapter.hpp"
#include "baton/model/gates.hpp"
#include "baton/model/training_pass.hpp"
#include "baton/train/lr_schedule.hpp"
#include "baton/train/optimizer.hpp"

namespace baton::train {

/// Which rows form each update, and in which slots: a pure function, the same on every rank.
struct UpdateSource {
  std::int64_t num_updates = 0;
  std::function<data::Update(std::int64_t step)> update;  // step in [0, num_updates)
};

struct LearnerOptions {
  std::int64_t train_batch_size = 8;  // rows per update over the whole group
  std::int64_t micro_batch_size = 4;  // rows of a slot
  double num_train_epochs = 3;
  double learning_rate = 1e-3;
  std::string lr_scheduler_type = "cosine";
  double warmup_ratio = 0;
  double weight_decay = 0;
  double max_grad_norm = 1.0;
  double opening_loss_weight = 1.0;         // weight of a target's first token
  bool balanced_batches = false;            // own and foreign rows in the same share, each update
  std::vector<model::Adapter> beside = {};  // frozen ones that act with the learner's own
  /// Weight in the loss of sum |A_beside A^T| over linears and the adapters beside (O-LoRA, arXiv
  /// 2310.14152, equation 8).
  double orthogonality = 0;
  /// Learnt instead of the adapter, whose factors are frozen: on each linear its part is multiplied
  /// by sigmoid(gate . x) (PHATGOOSE, arXiv 2402.05859). None: the factors are learnt.
  std::optional<model::Gates> gates = {};
  /// After so many validations in a row that did not lower the lowest loss before them by more than
  /// the threshold, training is done (transformers' EarlyStoppingCallback); what had the lowest is
  /// kept. 0: neither.
  std::int64_t early_stopping_patience = 0;
  double early_stopping_threshold = 0;
  std::uint64_t seed = 0;  // of this expert: order and dropout
  /// Instead of data::Sampler's order (batch sizes and epochs are then unused): for comparisons
  /// with other programs on the same batches.
  std::optional<UpdateSource> updates = {};
};

struct StepRecord {
  std::int64_t step = 0;     // counted from 1
  double loss = 0;           // mean over the update's target tokens
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  std::int64_t num_rows = 0;
  std::int64_t num_tokens = 0;  // without padding: there is none
  std::int64_t num_target_tokens = 0;
  /// Of this rank's slots, without waiting for others. On a GPU without `deterministic` only the
  /// queueing of the work is in it.
  double compute_seconds = 0;
};

class ExpertLearner {
 public:
  /// `adapter` (all factors on one device) is trained in place of a copy.
  ExpertLearner(std::vector<data::TrainingRow> rows,
                const model::Adapter& adapter,
                const LearnerOptions& options);

  std::int64_t num_updates() const { return updates_.num_updates; }
  std::int64_t num_steps() const { return step_; }
  bool done() const { return step_ == num_updates() || stops_early(); }
  /// Whether it is done before its last update, because validations did not get better.
  bool stops_early() const;
  /// Whether what had the lowest validation loss is what will have been learnt.
  bool keeps_best() const { return options_.early_stopping_patience > 0; }

  /// The next update's slots, and their sum of target weights.
  data::Update next_update() const { return updates_.update(step_); }
  double total_weight_of(const data::Update& update) const;
  /// A slot of the next update as the model reads it.
  model::TrainingSlot slot(const std::vector<std::int64_t>& rows, double total_weight) const;
  /// What acts in a pass: the adapters beside, then its own.
  model::AdapterUses uses() const;
  /// Counts of rows and tokens; the rest is left at 0.
  StepRecord facts_of(const data::Update& update) const;

  /// [P + 1] fp32: the gradient of what is learnt; the last value is the loss.
  at::Tensor& gradient() { return gradient_; }
  /// What is learnt, in the order of the flat buffers: layer, linear, A before B.
  std::span<const model::TrainedTensor> trained() const { return trained_; }
  /// [L]: where each layer's part begins in the flat buffers.
  const std::vector<std::int64_t>& layer_begins() const { return layer_begins_; }

  /// Adds what depends on the factors alone to the gradient and the loss of all slots: the same on
  /// every rank.
  void add_penalty();
  /// One update with the gradient, clipped to max_grad_norm: `record` has loss and norm, and gets
  /// step and learning rate.
  void step(StepRecord& record);
  /// Counts an update without making it.
  void pass_over();

  /// Updates [first, last] are passed over: their rows are not learnt from, step and schedule go
  /// on.
  void leave_out(std::int64_t first, std::int64_t last);
  const std::set<std::int64_t>& left_out() const { return left_out_; }

  /// The loss on rows that it does not learn from, with what is learnt as it stands after the last
  /// update. One that is not a number is no gain.
  void note_validation(double loss);
  /// What validations said so far; step 0: there was none.
  const expert::ValidationFacts& validation() const { return validation_; }
  /// At the end, with early_stopping_patience: what is learnt is what had the lowest validation
  /// loss. The update that it stands after.
  std::int64_t take_best();

  /// Everything that is needed to go on after the last finished update, `seconds` and the identity
  /// left as they are. Another thread may call it at any time, also while the trainer steps.
  void copy_state(expert::TrainingState& state) const;
  /// Goes on from `state` with the same bits as the training that it was copied from. Another
  /// number of parameters or updates, or another seed: kModel.
  void restore(const expert::TrainingState& state);

  std::int64_t num_parameters() const { return parameters_.numel(); }
  double first_loss() const { return first_loss_; }
  double last_loss() const { return last_loss_; }
  std::int64_t num_tokens() const { return num_tokens_; }
  const model::Adapter& adapter() const { return adapter_; }
  /// Where they are what is learnt.
  const model::Gates& gates() const { return gates_.value(); }

 private:
  std::vector<data::TrainingRow> rows_;
  LearnerOptions options_;
  UpdateSource updates_;
  LrSchedule schedule_;
  // What is learnt of these two are views of parameters_.
  model::Adapter adapter_;
  std::optional<model::Gates> gates_;
  at::Tensor parameters_;                      // [P] fp32
  at::Tensor gradient_;                        // [P + 1] fp32
  std::vector<model::TrainedTensor> trained_;  // views of both
  std::vector<std::int64_t> layer_begins_;
  AdamW optimizer_;
  mutable std::mutex changing_;  // held while what copy_state reads changes
  std::int64_t step_ = 0;
  std::set<std::int64_t> left_out_;
  expert::ValidationFacts validation_;
  at::Tensor best_;  // [P] parameters of the lowest validation loss; undefined: not kept, or none
  double first_loss_ = 0;
  double last_loss_ = 0;
  std::int64_t num_tokens_ = 0;
};

}  // namespace baton::train
