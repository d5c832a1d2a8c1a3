#pragma once
// Trains experts on one group of ranks: cross entropy on the target tokens only, normalised by the
// global count of target tokens of the update. Deals an update's slots to the ranks and brings their
// gradients together; what an expert is, is the learner's, and how a slot's gradient comes about the
// pass's. Writes no files and starts no groups. The result does not depend on the group's size when
// `deterministic`.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/comm/agree.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/model/decoder.hpp"
#include "baton/model/training_pass.hpp"
#include "baton/train/expert_learner.hpp"
#include "baton/train/gradient_reducer.hpp"

namespace baton::train {

struct TrainerOptions : LearnerOptions {
  bool deterministic = true;
  /// Called on every rank before each micro-batch slot; true asks to stop, which any rank may do.
  /// May be empty.
  std::function<bool()> before_slot = {};
  /// Called on every rank with the slot's gradient in host memory before it is summed (not
  /// deterministic: with the sum of this rank's slots so far); for tests. May be empty.
  std::function<void(std::int64_t step, comm::FloatBuffer gradient)> on_gradient = {};
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
  /// One learner of `rows` from `adapter` on (all factors on the model's device). Model and group
  /// outlive the trainer.
  Trainer(const model::Decoder& model,
          comm::Communicator& group,
          std::vector<data::TrainingRow> rows,
          const model::Adapter& adapter,
          const TrainerOptions& options);
  ~Trainer();

  /// One more expert to be trained over the same base by the same group; its index.
  std::size_t add(std::vector<data::TrainingRow> rows,
                  const model::Adapter& adapter,
                  const LearnerOptions& options);

  ExpertLearner& learner(std::size_t index = 0);
  const ExpertLearner& learner(std::size_t index = 0) const;

  /// Collective over the group: one update of a learner. A rank that fails takes the others with
  /// it: all throw its error, none waits. A loss or gradient that is not finite is a
  /// NonFiniteUpdate. Nothing is returned, and nothing changed, when a rank asked to stop on the way
  /// or when the update is one of those to leave out (then the step is counted). On a GPU, not
  /// deterministic, the host waits for it once a step, to read loss and norm before the update;
  /// besides, the model's copies of token ids (two a slot) and of dropout masks (one a linear) wait
  /// for what is queued. Deterministic: once a slot more, for the sum is made in host memory.
  std::optional<StepRecord> train_step(std::size_t index = 0);
  /// Whether train_step came back because a rank asked to stop.
  bool stopped() const { return stopped_; }

 private:
  struct Lane;  // a learner and the sum of its gradients

  bool compute_slots(Lane& lane, const data::Update& update, StepRecord& record);
  bool compute_round(Lane& lane,
                     const data::Update& update,
                     std::int64_t first_slot,
                     StepRecord& record);
  void show_gradient(ExpertLearner& learner);
  void read_loss_and_norm(ExpertLearner& learner, StepRecord& record);

  const model::Decoder& model_;
  comm::Communicator& group_;
  TrainerOptions options_;
  std::unique_ptr<model::TrainingPass> pass_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  bool stopped_ = false;
};

}  // namespace baton::train
