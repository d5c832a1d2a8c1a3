#include "baton/train/trainer.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::train {

namespace {

UpdateSource updates_of(const TrainerOptions& options, std::int64_t num_rows) {
  if (options.updates) {
    return *options.updates;
  }
  const data::Sampler sampler(num_rows,
                              options.train_batch_size,
                              options.micro_batch_size,
                              options.num_train_epochs,
                              options.seed);
  return {sampler.num_updates(), [sampler](std::int64_t step) { return sampler.update(step); }};
}

LrSchedule make_schedule(const TrainerOptions& options, std::int64_t num_updates) {
  return {lr_scheduler_from_name(options.lr_scheduler_type),
          options.learning_rate,
          options.warmup_ratio,
          num_updates};
}

// All factors side by side in one buffer, and the adapter's tensors as views of it: AdamW is one call and the
// reduction one message.
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
      tensors.weights.push_back(
          position == row.prompt_length ? static_cast<float>(indicator_weight) : 1.0F);
    }
    begin += length - 1;
  }
  return tensors;
}

// Gathers every rank's failure and throws the first on all.
void agree_on_failure(comm::Communicator& group, const std::optional<base::Error>& mine) {
  if (group.size() == 1) {
    if (mine) {
      throw *mine;
    }
    return;
  }
  if (group.all_reduce_max(mine ? 1 : 0) == 0) {
    return;
  }
  const std::string text = mine ? fmt::format("{}\n{}", base::kind_name(mine->kind()), mine->what()) : "";
  const std::vector<std::string> all = group.all_gather_bytes(text);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].empty()) {
      if (mine && static_cast<int>(rank) == group.rank()) {
        throw *mine;
      }
      const std::size_t border = all[rank].find('\n');
      throw base::Error(base::kind_from_name(all[rank].substr(0, border)),
                        fmt::format("rank {} of this group failed: {}", rank, all[rank].substr(border + 1)));
    }
  }
}

comm::FloatBuffer buffer_of(const at::Tensor& host) {
  return {host.data_ptr<float>(), static_cast<std::size_t>(host.numel()), false};
}

base::Error to_error(const std::exception& exception) {
  if (const auto* error = dynamic_cast<const base::Error*>(&exception)) {
    return *error;
  }
  return {base::ErrorKind::kInternal, exception.what()};
}

}  // namespace

Trainer::Trainer(const model::Llama& model,
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
  const auto count = static_cast<std::size_t>(gradient_.numel());
  reducer_ = options.deterministic ? make_slot_order_reducer(group, count)
                                   : make_all_reduce_reducer(group, count);
}

Trainer::~Trainer() = default;

StepRecord Trainer::train_step() {
  const data::Update update = updates_.update(step_);
  const double total_weight = total_weight_of(update);
  const auto num_slots = static_cast<std::int64_t>(update.slots.size());

  reducer_->start(num_slots);
  for (std::int64_t first = 0; first < num_slots; first += group_.size()) {
    compute_round(update, first + group_.rank(), total_weight);
  }
  reducer_->finish(buffer_of(host_gradient_));
  copy_to_device();

  StepRecord record = facts_of(update);
  at::Tensor gradient = gradient_.narrow(0, 0, parameters_.numel());
  record.loss = gradient_[parameters_.numel()].item<double>();
  record.gradient_norm = clip_gradient(gradient, options_.max_grad_norm);
  record.learning_rate = schedule_.at(step_);
  check_finite(record, update);
  {
    const at::NoGradGuard frozen;
    optimizer_->step(gradient, record.learning_rate);
  }
  record.step = ++step_;
  return record;
}

void Trainer::compute_round(const data::Update& update, std::int64_t slot_index, double total_weight) {
  comm::FloatBuffer mine;
  std::optional<base::Error> failure;
  if (slot_index < static_cast<std::int64_t>(update.slots.size())) {
    try {
      compute_slot(update.slots[static_cast<std::size_t>(slot_index)], total_weight);
      copy_to_host();
      mine = buffer_of(host_gradient_);
    } catch (const std::exception& exception) {
      failure = to_error(exception);
    }
  }
  agree_on_failure(group_, failure);
  reducer_->add(mine);
}

void Trainer::compute_slot(const std::vector<std::int64_t>& slot, double total_weight) {
  const SlotTensors tensors = build_slot(rows_, slot, options_.indicator_loss_weight);
  const at::Device& device = model_.device();
  gradient_.zero_();

  const model::PackedRows packed = model::pack_rows(tensors.inputs, device);
  const model::AdapterSet adapters{{{&adapter_, 1.0}}};
  const model::DropoutKey dropout{options_.seed, step_, tensors.row_indices};
  const at::Tensor hidden = model_.forward_hidden(
      model_.embed(packed.tokens), packed, &adapters, nullptr, adapter_.dropout > 0 ? &dropout : nullptr);

  const at::Tensor labelled =
      hidden.index_select(0, at::tensor(tensors.label_positions, at::kLong).to(device));  // [M, D]
  const at::Tensor targets = at::tensor(tensors.targets, at::kLong).to(device);           // [M]
  const at::Tensor weights = at::tensor(tensors.weights, at::kFloat).to(device);          // [M]
  const at::Tensor loss = model_.target_loss(labelled, targets, weights / total_weight);
  torch::autograd::backward({loss}, {});
  const at::NoGradGuard frozen;
  gradient_[parameters_.numel()].copy_(loss);
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
      const auto num_targets = static_cast<double>(rows_[static_cast<std::size_t>(index)].num_target_tokens());
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
  throw base::Error(base::ErrorKind::kNonFinite,
                    "the loss or its gradient is not finite; the update was not made",
                    {.where = fmt::format("update {} of {}", step_ + 1, num_updates()),
                     .expected = "finite numbers",
                     .found = fmt::format("loss {}, gradient norm {}, rows {} of the training set",
                                          record.loss,
                                          record.gradient_norm,
                                          fmt::join(indices, ", ")),
                     .fix = "lower train.learning_rate, or look at these rows"});
}

}  // namespace baton::train
