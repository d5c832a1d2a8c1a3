#pragma once
// Trains one expert on one group of ranks: cross entropy on the target tokens only, normalised by
// the global count of target tokens of the update, AdamW over the adapter. Writes no files and
// starts no groups. The result does not depend on the group's size when `deterministic`.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "baton/comm/agree.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/data/sampler.hpp"
#include "baton/data/training_row.hpp"
#include "baton/expert/training_state.hpp"
#include "baton/model/adapter.hpp"
#include "baton/model/decoder.hpp"
#include "baton/train/gradient_reducer.hpp"
#include "baton/train/gradient_slices.hpp"
#include "baton/train/lr_schedule.hpp"
#include "baton/train/optimizer.hpp"

namespace baton::train {

/// Which rows form each update, and in which slots: a pure function, the same on every rank.
struct UpdateSource {
  std::int64_t num_updates = 0;
  std::function<data::Update(std::int64_t step)> update;  // step in [0, num_updates)
};

struct TrainerOptions {
  std::int64_t train_batch_size = 8;  // rows per update over the whole group
  std::int64_t micro_batch_size = 4;  // rows of a slot
  double num_train_epochs = 3;
  double learning_rate = 1e-3;
  std::string lr_scheduler_type = "cosine";
  double warmup_ratio = 0;
  double weight_decay = 0;
  double max_grad_norm = 1.0;
  double indicator_loss_weight = 1.0;  // weight of a target's first token
  bool deterministic = true;
  std::uint64_t seed = 0;  // of this expert: order and dropout
  /// Instead of data::Sampler's order (batch sizes and epochs are then unused): for comparisons
  /// with other programs on the same batches.
  std::optional<UpdateSource> updates = {};
  /// Called on every rank before each micro-batch slot; true asks to stop, which any rank may do.
  /// May be empty.
  std::function<bool()> before_slot = {};
  /// Called on every rank with the slot's gradient in host memory before it is summed (not
  /// deterministic: with the sum of this rank's slots so far); for tests. May be empty.
  std::function<void(std::int64_t step, comm::FloatBuffer gradient)> on_gradient = {};
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

/// The loss or gradient of an update is not finite. Every rank of the group throws it; nothing was
/// changed.
class NonFiniteUpdate : public comm::GroupError {
 public:
  NonFiniteUpdate(std::int64_t update, const std::string& found);
  std::int64_t update() const noexcept { return update_; }  // from 0

 private:
  std::int64_t update_;
};

class Trainer {
 public:
  /// `adapter` (all factors on the model's device) is trained in place of a copy. The references
  /// must outlive it.
  Trainer(const model::Decoder& model,
          comm::Communicator& group,
          std::vector<data::TrainingRow> rows,
          const model::Adapter& adapter,
          const TrainerOptions& options);
  ~Trainer();

  std::int64_t num_updates() const { return updates_.num_updates; }
  std::int64_t num_steps() const { return step_; }
  bool done() const { return step_ == num_updates(); }

  /// Collective over the group. A rank that fails takes the others with it: all throw its error,
  /// none waits. A loss or gradient that is not finite is a NonFiniteUpdate. Nothing is returned,
  /// and nothing changed, when a rank asked to stop on the way or when the update is one of those
  /// to leave out (then the step is counted). On a GPU, not deterministic, the host waits for it
  /// once a step, to read loss and norm before the update; besides, the model's copies of token ids
  /// (two a slot) and of dropout masks (one a linear) wait for what is queued. Deterministic: once
  /// a slot more, for the sum is made in host memory.
  std::optional<StepRecord> train_step();
  /// Whether train_step came back because a rank asked to stop.
  bool stopped() const { return stopped_; }

  /// Updates [first, last] are passed over: their rows are not learnt from, step and schedule go
  /// on.
  void leave_out(std::int64_t first, std::int64_t last);
  const std::set<std::int64_t>& left_out() const { return left_out_; }

  /// Everything that is needed to go on after the last finished update, `seconds` and the identity
  /// left as they are. Another thread may call it at any time, also while train_step runs.
  void copy_state(expert::TrainingState& state) const;
  /// Goes on from `state` with the same bits as the training that it was copied from. Another
  /// number of parameters or updates, or another seed: kModel.
  void restore(const expert::TrainingState& state);
  std::int64_t num_parameters() const;
  double first_loss() const { return first_loss_; }
  double last_loss() const { return last_loss_; }
  std::int64_t num_tokens() const { return num_tokens_; }

  const model::Adapter& adapter() const { return adapter_; }

 private:
  void compute_slot(const std::vector<std::int64_t>& slot, double total_weight);
  bool compute_round(const data::Update& update, std::int64_t first_slot, double total_weight);
  void complete_slices(const std::optional<base::Error>& failure);
  void show_gradient();
  void read_loss_and_clip(at::Tensor& gradient, StepRecord& record);
  void apply(at::Tensor& gradient, StepRecord& record);
  void copy_to_host();
  void copy_to_device();
  StepRecord facts_of(const data::Update& update) const;
  double total_weight_of(const data::Update& update) const;
  void check_finite(const StepRecord& record, const data::Update& update) const;

  const model::Decoder& model_;
  comm::Communicator& group_;
  std::vector<data::TrainingRow> rows_;
  TrainerOptions options_;
  UpdateSource updates_;
  LrSchedule schedule_;
  model::Adapter adapter_;  // views of parameters_
  at::Tensor parameters_;   // [P] fp32
  at::Tensor
      gradient_;  // [P + 1]: the factors' gradients point in here; the last value is the loss
  at::Tensor host_gradient_;  // gradient_ itself on a CPU
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<GradientReducer> reducer_;  // deterministic
  std::unique_ptr<GradientSlices> slices_;    // not deterministic
  mutable std::mutex changing_;               // held while what copy_state reads changes
  std::int64_t step_ = 0;
  std::set<std::int64_t> left_out_;
  double first_loss_ = 0;
  double last_loss_ = 0;
  double compute_seconds_ = 0;  // of the update in work
  std::int64_t num_tokens_ = 0;
  bool stopped_ = false;
};

}  // namespace baton::train
