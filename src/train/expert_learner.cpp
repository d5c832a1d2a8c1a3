#include "baton/train/expert_learner.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/stream_copy.hpp"
#include "slot_rows.hpp"

namespace baton::train {

namespace {

UpdateSource updates_of(const LearnerOptions& options, const std::vector<data::TrainingRow>& rows) {
  if (options.updates) {
    return *options.updates;
  }
  data::Sampler sampler(static_cast<std::int64_t>(rows.size()), options.train_batch_size,
                        options.micro_batch_size, options.num_train_epochs, options.seed);
  if (options.balanced_batches) {
    std::vector<bool> is_own;
    for (const data::TrainingRow& row : rows) {
      is_own.push_back(row.role == data::RowRole::kPositive);
    }
    sampler = sampler.with_even_shares(std::move(is_own));
  }
  return {sampler.num_updates(), [sampler](std::int64_t step) { return sampler.update(step); }};
}

LrSchedule make_schedule(const LearnerOptions& options, std::int64_t num_updates) {
  return {lr_scheduler_from_name(options.lr_scheduler_type), options.learning_rate,
          options.warmup_ratio, num_updates};
}

/// Calls use(layer, linear, factors) for every linear that the adapter touches, in its order.
template <typename Adapter, typename Use>
void for_each_linear(Adapter& adapter, Use use) {
  for (std::size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (std::size_t linear = 0; linear < adapter.layers[layer].size(); ++linear) {
      auto& factors = adapter.layers[layer][linear];
      if (factors.a.defined()) {
        use(layer, linear, factors);
      }
    }
  }
}

/// Calls use(layer, tensor) for all that is learnt: the gates, where there are some, else the
/// factors.
template <typename Use>
void for_each_learnt(model::Adapter& adapter, std::optional<model::Gates>& gates, Use use) {
  if (!gates) {
    for_each_linear(adapter, [&](std::size_t layer, std::size_t, model::LoraFactors& factors) {
      use(layer, factors.a);
      use(layer, factors.b);
    });
    return;
  }
  for (std::size_t layer = 0; layer < gates->layers.size(); ++layer) {
    for (at::Tensor& gate : gates->layers[layer]) {
      if (gate.defined()) {
        use(layer, gate);
      }
    }
  }
}

// All that is learnt side by side in one buffer, and the tensors as views of it: AdamW is one call
// and the reduction one message.
at::Tensor flatten(model::Adapter& adapter, std::optional<model::Gates>& gates) {
  const at::NoGradGuard frozen;
  std::int64_t count = 0;
  at::TensorOptions options = at::TensorOptions().dtype(at::kFloat);
  for_each_learnt(adapter, gates, [&](std::size_t, const at::Tensor& tensor) {
    count += tensor.numel();
    options = tensor.options();
  });
  at::Tensor flat = at::empty({count}, options);
  std::int64_t begin = 0;
  for_each_learnt(adapter, gates, [&](std::size_t, at::Tensor& tensor) {
    at::Tensor view = flat.narrow(0, begin, tensor.numel()).view(tensor.sizes());
    view.copy_(tensor);
    begin += tensor.numel();
    tensor = view;
  });
  return flat;
}

AdamWOptions adamw_options(const LearnerOptions& options) {
  AdamWOptions adamw;
  adamw.weight_decay = options.weight_decay;
  return adamw;
}

}  // namespace

ExpertLearner::ExpertLearner(std::vector<data::TrainingRow> rows,
                             const model::Adapter& adapter,
                             const LearnerOptions& options)
    : rows_(std::move(rows)),
      options_(options),
      updates_(updates_of(options, rows_)),
      schedule_(make_schedule(options, updates_.num_updates)),
      adapter_(adapter),
      gates_(options.gates),
      parameters_(flatten(adapter_, gates_)),
      gradient_(at::zeros({parameters_.numel() + 1}, parameters_.options())),
      layer_begins_(adapter.layers.size(), 0),
      optimizer_(parameters_, adamw_options(options)) {
  std::int64_t begin = 0;
  std::size_t num_begun = 0;
  const auto begin_layers = [&](std::size_t end) {
    for (; num_begun < end; ++num_begun) {
      layer_begins_[num_begun] = begin;
    }
  };
  for_each_learnt(adapter_, gates_, [&](std::size_t layer, const at::Tensor& value) {
    begin_layers(layer + 1);
    trained_.push_back({value, gradient_.narrow(0, begin, value.numel()).view(value.sizes()),
                        static_cast<std::int64_t>(layer)});
    begin += value.numel();
  });
  begin_layers(layer_begins_.size());
}

model::TrainingSlot ExpertLearner::slot(const std::vector<std::int64_t>& rows,
                                        double total_weight) const {
  model::TrainingSlot slot;
  slot.total_weight = total_weight;
  slot.dropout = {options_.seed, step_, {}};
  std::int64_t num_packed = 0;
  for (const std::int64_t index : rows) {
    const data::TrainingRow& row = rows_[static_cast<std::size_t>(index)];
    slot.dropout.row_indices.push_back(row.row_index);
    append_row(row, options_.opening_loss_weight * row.opening_weight, num_packed, slot);
  }
  return slot;
}

double ExpertLearner::total_weight_of(const data::Update& update) const {
  double weight = 0;
  for (const auto& slot : update.slots) {
    for (const std::int64_t index : slot) {
      const data::TrainingRow& row = rows_[static_cast<std::size_t>(index)];
      weight += static_cast<double>(row.num_target_tokens()) - 1.0 +
                options_.opening_loss_weight * row.opening_weight;
    }
  }
  return weight;
}

model::AdapterUses ExpertLearner::uses() const {
  model::AdapterUses all;
  for (const model::Adapter& adapter : options_.beside) {
    all.uses.push_back({.adapter = &adapter});
  }
  all.uses.push_back({.adapter = &adapter_});
  if (gates_) {
    all.weigher = model::make_gate(*gates_);
  }
  return all;
}

// d/dA of sum |A_old A^T| is sign(A_old A^T)^T A_old.
void ExpertLearner::add_penalty() {
  if (options_.orthogonality == 0 || options_.beside.empty() || gates_) {
    return;
  }
  const at::NoGradGuard frozen;
  at::Tensor loss = gradient_[num_parameters()];
  std::size_t next = 0;  // of what is learnt
  for_each_linear(adapter_, [&](std::size_t layer, std::size_t linear, const auto& factors) {
    const at::Tensor& gradient = trained_[next].gradient;  // of A; that of B follows
    next += 2;
    for (const model::Adapter& adapter : options_.beside) {
      const at::Tensor& old = adapter.layers[layer][linear].a;
      if (old.defined()) {
        const at::Tensor products = at::matmul(old, factors.a.t());  // [R_old, R]
        loss.add_(products.abs().sum(), options_.orthogonality);
        gradient.add_(at::matmul(products.sign().t(), old), options_.orthogonality);
      }
    }
  });
}

StepRecord ExpertLearner::facts_of(const data::Update& update) const {
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

void ExpertLearner::step(StepRecord& record) {
  const at::NoGradGuard frozen;
  at::Tensor gradient = gradient_.narrow(0, 0, parameters_.numel());
  clip_gradient(gradient, record.gradient_norm, options_.max_grad_norm);
  record.learning_rate = schedule_.at(step_);
  const std::lock_guard lock(changing_);
  optimizer_.step(gradient, record.learning_rate);
  first_loss_ = step_ == 0 ? record.loss : first_loss_;
  last_loss_ = record.loss;
  num_tokens_ += record.num_tokens;
  record.step = ++step_;
}

void ExpertLearner::pass_over() {
  const std::lock_guard lock(changing_);
  ++step_;
}

bool ExpertLearner::stops_early() const {
  return keeps_best() && validation_.num_without_gain >= options_.early_stopping_patience;
}

void ExpertLearner::note_validation(double loss) {
  const bool is_first = validation_.best_step == 0;
  const bool is_lower = std::isfinite(loss) && (is_first || loss < validation_.best_loss);
  const bool is_gain =
      is_lower && (is_first || validation_.best_loss - loss > options_.early_stopping_threshold);
  const at::NoGradGuard frozen;
  const std::lock_guard lock(changing_);
  validation_.step = step_;
  validation_.loss = loss;
  validation_.num_without_gain = is_gain ? 0 : validation_.num_without_gain + 1;
  if (!is_lower) {
    return;
  }
  validation_.best_step = step_;
  validation_.best_loss = loss;
  if (keeps_best()) {
    best_ = parameters_.clone();
  }
}

std::int64_t ExpertLearner::take_best() {
  if (!best_.defined()) {
    return step_;
  }
  const at::NoGradGuard frozen;
  const std::lock_guard lock(changing_);
  parameters_.copy_(best_);
  return validation_.best_step;
}

void ExpertLearner::leave_out(std::int64_t first, std::int64_t last) {
  const std::lock_guard lock(changing_);
  for (std::int64_t update = first; update <= last; ++update) {
    left_out_.insert(update);
  }
}

void ExpertLearner::copy_state(expert::TrainingState& state) const {
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
  copy(parameters_, state.parameters);
  copy(optimizer_.first_moment(), state.first_moment);
  copy(optimizer_.second_moment(), state.second_moment);
  state.best_parameters.clear();
  if (best_.defined()) {
    copy(best_, state.best_parameters);
  }
  state.skipped_updates.assign(left_out_.begin(), left_out_.end());
  state.validation = validation_.step > 0 ? std::optional(validation_) : std::nullopt;
  state.first_loss = first_loss_;
  state.last_loss = last_loss_;
  state.num_tokens = num_tokens_;
}

void ExpertLearner::restore(const expert::TrainingState& state) {
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
  if (!state.best_parameters.empty() && state.best_parameters.size() != count) {
    refuse("number of parameters kept", count, state.best_parameters.size());
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
  const auto view = [](const std::vector<float>& values) {
    return at::from_blob(const_cast<float*>(values.data()),
                         {static_cast<std::int64_t>(values.size())}, at::kFloat);
  };
  const at::NoGradGuard frozen;
  const std::lock_guard lock(changing_);
  parameters_.copy_(view(state.parameters));
  validation_ = state.validation.value_or(expert::ValidationFacts{});
  best_ = at::Tensor();
  if (!state.best_parameters.empty()) {
    best_ = at::empty_like(parameters_).copy_(view(state.best_parameters));
  }
  left_out_.insert(state.skipped_updates.begin(), state.skipped_updates.end());
  const auto num_left_out = std::distance(left_out_.begin(), left_out_.lower_bound(state.step));
  optimizer_.restore(view(state.first_moment), view(state.second_moment),
                     state.step - num_left_out);
  step_ = state.step;
  first_loss_ = state.first_loss;
  last_loss_ = state.last_loss;
  num_tokens_ = state.num_tokens;
}

}  // namespace baton::train
