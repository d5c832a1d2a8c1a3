#include "baton/train/trainer.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/stream_copy.hpp"
#include "baton/comm/agree.hpp"

namespace baton::train {

namespace {

UpdateSource updates_of(const TrainerOptions& options, std::int64_t num_rows) {
  if (options.updates) {
    return *options.updates;
  }
  const data::Sampler sampler(num_rows, options.train_batch_size, options.micro_batch_size,
                              options.num_train_epochs, options.seed);
  return {sampler.num_updates(), [sampler](std::int64_t step) { return sampler.update(step); }};
}

LrSchedule make_schedule(const TrainerOptions& options, std::int64_t num_updates) {
  return {lr_scheduler_from_name(options.lr_scheduler_type), options.learning_rate,
          options.warmup_ratio, num_updates};
}

// All factors side by side in one buffer, and the adapter's tensors as views of it: AdamW is one
// call and the reduction one message.
at::Tensor flatten(model::Adapter& adapter, const at::Device& device) {
  const at::NoGradGuard frozen;
  std::int64_t count = 0;
  for (auto& layer : adapter.layers) {
    for (model::LoraFactors& factors : layer) {
      count += factors.a.defined() ? factors.a.numel() + factors.b.numel() : 0;
    }
  }
  at::Tensor flat = at::empty({count}, at::TensorOptions().dtype(at::kFloat).device(device));
  std::int64_t begin = 0;
  const auto move_in = [&](at::Tensor& factor) {
    at::Tensor view = flat.narrow(0, begin, factor.numel()).view(factor.sizes());
    view.copy_(factor);
    begin += factor.numel();
    factor = view;
  };
  for (auto& layer : adapter.layers) {
    for (model::LoraFactors& factors : layer) {
      if (factors.a.defined()) {
        move_in(factors.a);
        move_in(factors.b);
      }
    }
  }
  return flat;
}

// Autograd accumulates straight into the flat gradient.
void point_gradients_into(model::Adapter& adapter, const at::Tensor& gradient) {
  std::int64_t begin = 0;
  const auto attach = [&](at::Tensor& factor) {
    factor.set_requires_grad(true);
    factor.mutable_grad() = gradient.narrow(0, begin, factor.numel()).view(factor.sizes());
    begin += factor.numel();
  };
  for (auto& layer : adapter.layers) {
    for (model::LoraFactors& factors : layer) {
      if (factors.a.defined()) {
        attach(factors.a);
        attach(factors.b);
      }
    }
  }
}

// The slot as the model reads it: inputs without each row's last token, and where the loss is.
struct SlotTensors {
  std::vector<std::vector<std::int32_t>> inputs;
  std::vector<std::int64_t> label_positions;  // in the packed inputs
  std::vector<std::int64_t> targets;
  std::vector<float> weights;
  std::vector<std::int64_t> row_indices;
};

SlotTensors build_slot(const std::vector<data::TrainingRow>& rows,
                       const std::vector<std::int64_t>& slot,
                       double indicator_weight) {
  SlotTensors tensors;
  std::int64_t begin = 0;
  for (const std::int64_t index : slot) {
    const data::TrainingRow& row = rows[static_cast<std::size_t>(index)];
    const auto length = static_cast<std::int64_t>(row.tokens.size());
    tensors.inputs.emplace_back(row.tokens.begin(), row.tokens.end() - 1);
    tensors.row_indices.push_back(row.row_index);
    for (std::int64_t position = row.prompt_length; position < length; ++position) {
      tensors.label_positions.push_back(begin + position - 1);
      tensors.targets.push_back(row.tokens[static_cast<std::size_t>(position)]);
      tensors.weights.push_back(position == row.prompt_length ? static_cast<float>(indicator_weight)
                                                              : 1.0F);
    }
    begin += length - 1;
  }
  return tensors;
}

comm::FloatBuffer buffer_of(const at::Tensor& host) {
  return {host.data_ptr<float>(), static_cast<std::size_t>(host.numel()), false};
}

}  // namespace

NonFiniteUpdate::NonFiniteUpdate(std::int64_t update, const std::string& found)
    : comm::GroupError(base::ErrorKind::kNonFinite,
                       "the loss or its gradient is not finite; the update was not made",
                       {.expected = "finite numbers",
                        .found = found,
                        .fix = "lower train.learning_rate, look at these rows, or set "
                               "train.non_finite to skip or rollback"}),
      update_(update) {}

Trainer::Trainer(const model::Decoder& model,
                 comm::Communicator& group,
                 std::vector<data::TrainingRow> rows,
                 const model::Adapter& adapter,
                 const TrainerOptions& options)
    : model_(model),
      group_(group),
      rows_(std::move(rows)),
      options_(options),
      updates_(updates_of(options, static_cast<std::int64_t>(rows_.size()))),
      schedule_(make_schedule(options, updates_.num_updates)),
      adapter_(adapter),
      parameters_(flatten(adapter_, model.device())) {
  gradient_ = at::zeros({parameters_.numel() + 1}, parameters_.options());
  host_gradient_ = gradient_.to(at::kCPU);
  point_gradients_into(adapter_, gradient_);
  AdamWOptions adamw;
  adamw.weight_decay = options.weight_decay;
  optimizer_ = std::make_unique<AdamW>(parameters_, adamw);
  if (options.deterministic) {
    reducer_ = make_slot_order_reducer(group, static_cast<std::size_t>(gradient_.numel()));
  } else {
    slices_ = std::make_unique<GradientSlices>(group, adapter_, gradient_);
  }
}

Trainer::~Trainer() = default;

std::optional<StepRecord> Trainer::train_step() {
  if (left_out_.contains(step_)) {
    const std::lock_guard lock(changing_);
    ++step_;
    return std::nullopt;
  }
  const data::Update update = updates_.update(step_);
  const double total_weight = total_weight_of(update);
  const auto num_slots = static_cast<std::int64_t>(update.slots.size());

  compute_seconds_ = 0;
  gradient_.zero_();
  if (reducer_) {
    reducer_->start(num_slots);
  }
  for (std::int64_t first = 0; first < num_slots; first += group_.size()) {
    if (!compute_round(update, first, total_weight)) {
      stopped_ = true;
      return std::nullopt;
    }
  }
  if (reducer_) {
    reducer_->finish(buffer_of(host_gradient_));
    copy_to_device();
  }

  StepRecord record = facts_of(update);
  at::Tensor gradient = gradient_.narrow(0, 0, parameters_.numel());
  read_loss_and_clip(gradient, record);
  record.learning_rate = schedule_.at(step_);
  record.compute_seconds = compute_seconds_;
  check_finite(record, update);
  apply(gradient, record);
  return record;
}

// The one place of a step (not deterministic) where the host waits for a GPU's sums: both numbers
// in one copy.
void Trainer::read_loss_and_clip(at::Tensor& gradient, StepRecord& record) {
  const at::NoGradGuard frozen;
  const at::Tensor loss = gradient_[parameters_.numel()].to(at::kDouble);
  const at::Tensor both = at::stack({loss, norm_of(gradient)});
  group_.wait_for_started();
  const at::Tensor read = both.to(at::kCPU);
  record.loss = read[0].item<double>();
  record.gradient_norm = read[1].item<double>();
  clip_gradient(gradient, record.gradient_norm, options_.max_grad_norm);
}

void Trainer::apply(at::Tensor& gradient, StepRecord& record) {
  const at::NoGradGuard frozen;
  const std::lock_guard lock(changing_);
  optimizer_->step(gradient, record.learning_rate);
  first_loss_ = step_ == 0 ? record.loss : first_loss_;
  last_loss_ = record.loss;
  num_tokens_ += record.num_tokens;
  record.step = ++step_;
}

// False when a rank asked to stop: the update in work is dropped on all.
bool Trainer::compute_round(const data::Update& update,
                            std::int64_t first_slot,
                            double total_weight) {
  const auto num_slots = static_cast<std::int64_t>(update.slots.size());
  const std::int64_t slot_index = first_slot + group_.rank();
  const bool is_last = first_slot + group_.size() >= num_slots;
  bool has_gradient = false;
  std::optional<base::Error> failure;
  bool wants_stop = false;
  try {
    const auto start = std::chrono::steady_clock::now();
    wants_stop = options_.before_slot && options_.before_slot();
    if (!wants_stop && slot_index < num_slots) {
      if (slices_ && is_last && !options_.on_gradient) {
        slices_->arm();
      }
      compute_slot(update.slots[static_cast<std::size_t>(slot_index)], total_weight);
      if (reducer_) {
        copy_to_host();
      }
      compute_seconds_ +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      has_gradient = true;
      show_gradient();
    }
  } catch (...) {
    failure = base::current_error();
  }
  if (slices_ && is_last) {
    complete_slices(failure);
  }
  if (comm::agree_or_stop(group_, failure, wants_stop)) {
    return false;
  }
  if (reducer_) {
    reducer_->add(has_gradient ? buffer_of(host_gradient_) : comm::FloatBuffer{});
  }
  return true;
}

// Also after a failure, for the other ranks' slices may be under way.
void Trainer::complete_slices(const std::optional<base::Error>& failure) {
  try {
    slices_->complete();
  } catch (const base::Error&) {
    if (failure) {
      throw *failure;  // what came first says more than the broken group
    }
    throw;
  }
}

void Trainer::show_gradient() {
  if (!options_.on_gradient) {
    return;
  }
  copy_to_host();
  options_.on_gradient(step_, buffer_of(host_gradient_));
  if (slices_) {
    copy_to_device();
  }
}

void Trainer::compute_slot(const std::vector<std::int64_t>& slot, double total_weight) {
  const SlotTensors tensors = build_slot(rows_, slot, options_.indicator_loss_weight);
  const at::Device& device = model_.device();
  if (reducer_) {
    gradient_.zero_();  // else the slots of this rank are summed where they are
  }

  const model::PackedRows packed = model::pack_rows(tensors.inputs, device);
  const model::AdapterUses adapters(adapter_);
  const model::DropoutKey dropout{options_.seed, step_, tensors.row_indices};
  const at::Tensor hidden =
      model_.forward_hidden(model_.embedder().embed(packed), packed, &adapters, nullptr,
                            adapter_.dropout > 0 ? &dropout : nullptr);

  const at::Tensor labelled = hidden.index_select(
      0, model::on_device(at::tensor(tensors.label_positions, at::kLong), device));  // [M, D]
  const at::Tensor targets =
      model::on_device(at::tensor(tensors.targets, at::kLong), device);  // [M]
  const at::Tensor weights =
      model::on_device(at::tensor(tensors.weights, at::kFloat), device);  // [M]
  const at::Tensor loss = model_.target_loss(labelled, targets, weights / total_weight);
  {
    const at::NoGradGuard frozen;
    gradient_[parameters_.numel()].add_(loss);  // before the backward pass, in which it may leave
  }
  torch::autograd::backward({loss}, {});
}

// On a CPU the two are one tensor; the reducers work in host memory.
void Trainer::copy_to_host() {
  if (!model_.device().is_cpu()) {
    host_gradient_.copy_(gradient_);
  }
}

void Trainer::copy_to_device() {
  if (!model_.device().is_cpu()) {
    gradient_.copy_(host_gradient_);
  }
}

double Trainer::total_weight_of(const data::Update& update) const {
  double weight = 0;
  for (const auto& slot : update.slots) {
    for (const std::int64_t index : slot) {
      const auto num_targets =
          static_cast<double>(rows_[static_cast<std::size_t>(index)].num_target_tokens());
      weight += num_targets - 1.0 + options_.indicator_loss_weight;
    }
  }
  return weight;
}

StepRecord Trainer::facts_of(const data::Update& update) const {
  StepRecord record;
  for (const auto& slot : update.slots) {
    for (const std::int64_t index : slot) {
      const data::TrainingRow& row = rows_[static_cast<std::size_t>(index)];
      ++record.num_rows;
      record.num_tokens += static_cast<std::int64_t>(row.tokens.size());
      record.num_target_tokens += row.num_target_tokens();
    }
  }
  return record;
}

void Trainer::check_finite(const StepRecord& record, const data::Update& update) const {
  if (std::isfinite(record.loss) && std::isfinite(record.gradient_norm)) {
    return;
  }
  std::vector<std::int64_t> indices;
  for (const auto& slot : update.slots) {
    indices.insert(indices.end(), slot.begin(), slot.end());
  }
  throw NonFiniteUpdate(
      step_, fmt::format("update {} of {}: loss {}, gradient norm {}, rows {} of the training set",
                         step_ + 1, num_updates(), record.loss, record.gradient_norm,
                         fmt::join(indices, ", ")));
}

void Trainer::leave_out(std::int64_t first, std::int64_t last) {
  const std::lock_guard lock(changing_);
  for (std::int64_t update = first; update <= last; ++update) {
    left_out_.insert(update);
  }
}

std::int64_t Trainer::num_parameters() const {
  return parameters_.numel();
}

void Trainer::copy_state(expert::TrainingState& state) const {
  const auto copy = [](const at::Tensor& from, std::vector<float>& to) {
    const at::NoGradGuard frozen;
    const auto count = static_cast<std::size_t>(from.numel());
    to.resize(count);
    if (from.is_cpu()) {
      base::stream_copy({from.const_data_ptr<float>(), count}, to);
    } else {
      at::from_blob(to.data(), {from.numel()}, at::kFloat).copy_(from);
    }
  };
  const std::lock_guard lock(changing_);
  state.seed = options_.seed;
  state.step = step_;
  state.num_updates = num_updates();
  state.slot = 0;
  copy(parameters_, state.parameters);
  copy(optimizer_->first_moment(), state.first_moment);
  copy(optimizer_->second_moment(), state.second_moment);
  state.gradient.clear();
  state.skipped_updates.assign(left_out_.begin(), left_out_.end());
  state.first_loss = first_loss_;
  state.last_loss = last_loss_;
  state.num_tokens = num_tokens_;
}

void Trainer::restore(const expert::TrainingState& state) {
  const auto refuse = [](const std::string& what, auto expected, auto found) {
    throw base::Error(base::ErrorKind::kModel,
                      "saved training state does not belong to this training",
                      {.where = what,
                       .expected = fmt::format("{}", expected),
                       .found = fmt::format("{}", found),
                       .fix = "remove the task's folder under checkpoints; its expert is then "
                              "trained from the start"});
  };
  const auto count = static_cast<std::size_t>(parameters_.numel());
  for (const std::vector<float>* values :
       {&state.parameters, &state.first_moment, &state.second_moment}) {
    if (values->size() != count) {
      refuse("number of parameters", count, values->size());
    }
  }
  if (state.num_updates != num_updates()) {
    refuse("updates of the training", num_updates(), state.num_updates);
  }
  if (state.step < 0 || state.step > num_updates()) {
    refuse("updates made", fmt::format("0 to {}", num_updates()), state.step);
  }
  if (state.seed != options_.seed) {
    refuse("seed", options_.seed, state.seed);
  }
  if (state.slot != 0) {
    refuse("micro-batch slots of an unfinished update", 0, state.slot);
  }
  const auto view = [](const std::vector<float>& values) {
    return at::from_blob(const_cast<float*>(values.data()),
                         {static_cast<std::int64_t>(values.size())}, at::kFloat);
  };
  const at::NoGradGuard frozen;
  const std::lock_guard lock(changing_);
  parameters_.copy_(view(state.parameters));
  left_out_.insert(state.skipped_updates.begin(), state.skipped_updates.end());
  const auto num_left_out = std::distance(left_out_.begin(), left_out_.lower_bound(state.step));
  optimizer_->restore(view(state.first_moment), view(state.second_moment),
                      state.step - num_left_out);
  step_ = state.step;
  first_loss_ = state.first_loss;
  last_loss_ = state.last_loss;
  num_tokens_ = state.num_tokens;
  stopped_ = false;
}

}  // namespace baton::train
