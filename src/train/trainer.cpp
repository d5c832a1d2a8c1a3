#include "baton/train/trainer.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::train {

namespace {

comm::FloatBuffer buffer_of(const at::Tensor& host) {
  return {host.data_ptr<float>(), static_cast<std::size_t>(host.numel()), false};
}

void check_finite(const StepRecord& record,
                  const data::Update& update,
                  const ExpertLearner& learner) {
  if (std::isfinite(record.loss) && std::isfinite(record.gradient_norm)) {
    return;
  }
  std::vector<std::int64_t> indices;
  for (const auto& slot : update.slots) {
    indices.insert(indices.end(), slot.begin(), slot.end());
  }
  throw NonFiniteUpdate(
      learner.num_steps(),
      fmt::format("update {} of {}: loss {}, gradient norm {}, rows {} of the training set",
                  learner.num_steps() + 1, learner.num_updates(), record.loss, record.gradient_norm,
                  fmt::join(indices, ", ")));
}

// From the model's pass into the learner's flat gradient, and on to the ranks' sum.
class SlotSink final : public model::GradientSink {
 public:
  SlotSink(ExpertLearner& learner, GradientReducer& reducer)
      : learner_(learner), reducer_(reducer) {}

  // Before the backward pass, in which it may leave.
  void add_loss(const at::Tensor& loss) override {
    learner_.gradient()[learner_.num_parameters()].add_(loss);
  }

  std::span<const model::TrainedTensor> trained() const override { return learner_.trained(); }

  void layers_done(std::int64_t first_layer) noexcept override {
    reducer_.layers_done(first_layer);
  }

 private:
  ExpertLearner& learner_;
  GradientReducer& reducer_;
};

}  // namespace

NonFiniteUpdate::NonFiniteUpdate(std::int64_t update, const std::string& found)
    : comm::GroupError(base::ErrorKind::kNonFinite,
                       "the loss or its gradient is not finite; the update was not made",
                       {.expected = "finite numbers",
                        .found = found,
                        .fix = "lower train.learning_rate, look at these rows, or set "
                               "train.non_finite to skip or rollback"}),
      update_(update) {}

struct Trainer::Lane {
  ExpertLearner learner;
  std::unique_ptr<GradientReducer> reducer;
  double total_weight = 0;  // of the update in work

  Lane(std::vector<data::TrainingRow> rows,
       const model::Adapter& adapter,
       const LearnerOptions& options)
      : learner(std::move(rows), adapter, options) {}
};

Trainer::Trainer(const model::Decoder& model,
                 comm::Communicator& group,
                 std::vector<data::TrainingRow> rows,
                 const model::Adapter& adapter,
                 const TrainerOptions& options)
    : model_(model), group_(group), options_(options), pass_(model::make_autograd_pass(model)) {
  add(std::move(rows), adapter, options);
}

Trainer::~Trainer() = default;

std::size_t Trainer::add(std::vector<data::TrainingRow> rows,
                         const model::Adapter& adapter,
                         const LearnerOptions& options) {
  Lane& lane = *lanes_.emplace_back(std::make_unique<Lane>(std::move(rows), adapter, options));
  lane.reducer = options_.deterministic ? make_slot_order_reducer(group_, lane.learner.gradient())
                                        : make_sliced_reducer(group_, lane.learner.gradient(),
                                                              lane.learner.layer_begins());
  return lanes_.size() - 1;
}

ExpertLearner& Trainer::learner(std::size_t index) {
  return lanes_.at(index)->learner;
}

const ExpertLearner& Trainer::learner(std::size_t index) const {
  return lanes_.at(index)->learner;
}

std::optional<StepRecord> Trainer::train_step(std::size_t index) {
  Lane& lane = *lanes_.at(index);
  ExpertLearner& learner = lane.learner;
  if (learner.left_out().contains(learner.num_steps())) {
    learner.pass_over();
    return std::nullopt;
  }
  const data::Update update = learner.next_update();
  StepRecord record = learner.facts_of(update);
  stopped_ = !compute_slots(lane, update, record);
  if (stopped_) {
    return std::nullopt;
  }
  lane.reducer->finish();
  learner.add_penalty();
  read_loss_and_norm(learner, record);
  check_finite(record, update, learner);
  learner.step(record);
  return record;
}

// False when a rank asked to stop: the update in work is dropped on all.
bool Trainer::compute_slots(Lane& lane, const data::Update& update, StepRecord& record) {
  const auto num_slots = static_cast<std::int64_t>(update.slots.size());
  lane.total_weight = lane.learner.total_weight_of(update);
  lane.reducer->start(num_slots);
  for (std::int64_t first = 0; first < num_slots; first += group_.size()) {
    if (!compute_round(lane, update, first, record)) {
      return false;
    }
  }
  return true;
}

bool Trainer::compute_round(Lane& lane,
                            const data::Update& update,
                            std::int64_t first_slot,
                            StepRecord& record) {
  const auto num_slots = static_cast<std::int64_t>(update.slots.size());
  const std::int64_t slot_index = first_slot + group_.rank();
  const bool is_last = first_slot + group_.size() >= num_slots;
  bool has_slot = false;
  std::optional<base::Error> failure;
  bool wants_stop = false;
  try {
    const auto start = std::chrono::steady_clock::now();
    wants_stop = options_.before_slot && options_.before_slot();
    if (!wants_stop && slot_index < num_slots) {
      lane.reducer->before_slot(is_last && !options_.on_gradient);
      const model::TrainingSlot slot =
          lane.learner.slot(update.slots[static_cast<std::size_t>(slot_index)], lane.total_weight);
      SlotSink sink(lane.learner, *lane.reducer);
      pass_->loss_and_gradients(slot, lane.learner.uses(), sink);
      show_gradient(lane.learner);
      lane.reducer->after_slot();
      record.compute_seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      has_slot = true;
    }
  } catch (...) {
    failure = base::current_error();
  }
  if (is_last) {
    lane.reducer->end_last_round(failure);
  }
  if (comm::agree_or_stop(group_, failure, wants_stop)) {
    return false;
  }
  lane.reducer->add_round(has_slot);
  return true;
}

void Trainer::show_gradient(ExpertLearner& learner) {
  if (!options_.on_gradient) {
    return;
  }
  const at::Tensor host = learner.gradient().to(at::kCPU);  // on a CPU the gradient itself
  options_.on_gradient(learner.num_steps(), buffer_of(host));
  if (!learner.gradient().is_cpu()) {
    learner.gradient().copy_(host);
  }
}

// The one place of a step (not deterministic) where the host waits for a GPU's sums: both numbers
// in one copy.
void Trainer::read_loss_and_norm(ExpertLearner& learner, StepRecord& record) {
  const at::NoGradGuard frozen;
  const at::Tensor loss = learner.gradient()[learner.num_parameters()].to(at::kDouble);
  const at::Tensor gradient = learner.gradient().narrow(0, 0, learner.num_parameters());
  const at::Tensor both = at::stack({loss, norm_of(gradient)});
  group_.wait_for_started();
  const at::Tensor read = both.to(at::kCPU);
  record.loss = read[0].item<double>();
  record.gradient_norm = read[1].item<double>();
}

}  // namespace baton::train
