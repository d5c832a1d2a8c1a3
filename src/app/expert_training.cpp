#include "expert_training.hpp"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/config/stop_signal.hpp"
#include "baton/eval/margins.hpp"
#include "baton/route/calibration.hpp"
#include "baton/train/new_adapter.hpp"
#include "baton/train/trainer.hpp"

namespace baton::app {

namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

train::TrainerOptions trainer_options(const config::Config& config, std::uint64_t seed) {
  train::TrainerOptions options;
  options.train_batch_size = config.train.train_batch_size;
  options.micro_batch_size = config.train.micro_batch_size;
  options.num_train_epochs = config.train.num_train_epochs;
  options.learning_rate = config.train.learning_rate;
  options.lr_scheduler_type = config.train.lr_scheduler_type;
  options.warmup_ratio = config.train.warmup_ratio;
  options.weight_decay = config.train.weight_decay;
  options.max_grad_norm = config.train.max_grad_norm;
  options.indicator_loss_weight = config.method.indicator_loss_weight;
  options.deterministic = config.cluster.deterministic;
  options.seed = seed;
  return options;
}

expert::ExpertState new_state(const ExpertJob& job, std::uint64_t seed) {
  const config::Config& config = job.config;
  const weights::LlamaConfig& sizes = job.workspace.model->config();
  expert::ExpertState state;
  state.task = job.identity.facts().at("task");
  state.identity = job.identity;
  state.base_fingerprint = job.workspace.model->fingerprint();
  state.lora_rank = config.lora.lora_rank;
  state.lora_alpha = config.lora.lora_alpha;
  state.lora_dropout = config.lora.lora_dropout;
  state.lora_target = config.lora.lora_target;
  state.lora_activation = config.lora.lora_activation;
  for (const tokenizer::TokenId id : job.workspace.prompt_template->invocation_ids()) {
    state.invocation_ids.push_back(id);
  }
  state.accept_token_id = job.workspace.indicators.accept;
  state.pass_token_id = job.workspace.indicators.pass;
  state.accept_threshold = config.method.accept_threshold.value;
  state.prompt_template = job.workspace.prompt_template->name();
  state.seed = seed;
  state.num_positive = job.prepared.num_positive;
  state.num_negative = job.prepared.num_negative;
  state.arrays = train::new_adapter_arrays({sizes.num_hidden_layers,
                                            model::Llama::linear_shapes(sizes),
                                            config.lora.lora_target,
                                            config.lora.lora_rank},
                                           seed);
  return state;
}

// Margins of the held-out rows decide; they are few, and every rank of the group would get the same.
void calibrate_threshold(const ExpertJob& job, const model::Adapter& adapter, expert::ExpertState& state) {
  std::vector<std::vector<tokenizer::TokenId>> prompts;
  for (const data::TrainingRow& row : job.prepared.held_out) {
    prompts.emplace_back(row.tokens.begin(), row.tokens.begin() + row.prompt_length);
  }
  const std::vector<double> margins = eval::margins(*job.workspace.model,
                                                    adapter,
                                                    prompts,
                                                    job.workspace.indicators,
                                                    job.config.eval.eval_batch_size);
  std::vector<double> own;
  std::vector<double> foreign;
  for (std::size_t i = 0; i < margins.size(); ++i) {
    (job.prepared.held_out[i].role == data::RowRole::kPositive ? own : foreign).push_back(margins[i]);
  }
  const route::Calibration calibration = route::calibrate(own, foreign);
  state.accept_threshold = calibration.threshold;
  state.roc = calibration.roc;
  base::log_info("train",
                 fmt::format("{}: accept_threshold {:.4g} from {} own and {} foreign held-out rows, balanced accuracy {:.3f}",
                             state.task, calibration.threshold, own.size(), foreign.size(),
                             calibration.balanced_accuracy));
}

class StepLog {
 public:
  StepLog(const std::filesystem::path& path, bool is_writer) {
    if (is_writer) {
      file_.open(path, std::ios::trunc);
      check(path);
    }
  }

  void write(const train::StepRecord& record, double seconds) {
    if (!file_.is_open()) {
      return;
    }
    base::OrderedJson line;
    line["step"] = record.step;
    line["loss"] = record.loss;
    line["grad_norm"] = record.gradient_norm;
    line["learning_rate"] = record.learning_rate;
    line["rows"] = record.num_rows;
    line["tokens"] = record.num_tokens;
    line["target_tokens"] = record.num_target_tokens;
    line["seconds"] = seconds;
    file_ << line.dump() << '\n' << std::flush;
  }

 private:
  void check(const std::filesystem::path& path) {
    if (!file_) {
      throw base::Error(base::ErrorKind::kStorage,
                        "cannot create a training log",
                        {.where = path.string(), .expected = "", .found = "", .fix = "check the run folder's permissions"});
    }
  }
  std::ofstream file_;
};

}  // namespace

ExpertOutcome train_expert(const ExpertJob& job,
                           comm::Communicator& group,
                           const std::function<void(const ExpertStep&)>& on_step) {
  const std::string& task = job.identity.facts().at("task");
  const std::uint64_t seed = base::seed_for(job.config.train.seed, {"expert", task});
  expert::ExpertState state = new_state(job, seed);
  const model::Adapter initial = model::adapter_from_state(
      state, job.workspace.model->config().num_hidden_layers, job.workspace.model->device());
  train::Trainer trainer(
      *job.workspace.model, group, job.prepared.training, initial, trainer_options(job.config, seed));

  StepLog log(job.log_path, group.rank() == 0);
  ExpertOutcome outcome;
  const double start = now_seconds();
  while (!trainer.done()) {
    if (group.all_reduce_max(config::stop_requested() ? 1 : 0) != 0) {
      outcome.stopped = true;
      return outcome;
    }
    const double before = now_seconds();
    const train::StepRecord record = trainer.train_step();
    const double seconds = now_seconds() - before;
    outcome.num_tokens += record.num_tokens;
    outcome.last_loss = record.loss;
    outcome.first_loss = record.step == 1 ? record.loss : outcome.first_loss;
    if (record.step % job.config.train.logging_steps == 0 || trainer.done()) {
      log.write(record, seconds);
    }
    on_step({record.step, trainer.num_updates(), record.loss, static_cast<double>(record.num_tokens) / seconds});
  }
  outcome.steps = trainer.num_steps();
  state.steps = trainer.num_steps();
  if (group.rank() == 0) {
    if (job.config.method.accept_threshold.is_auto) {
      calibrate_threshold(job, trainer.adapter(), state);
    }
    state.arrays = model::arrays_of(trainer.adapter());
    checkpoint::save_expert(job.expert_path, state);
  }
  outcome.threshold = state.accept_threshold;
  outcome.seconds = now_seconds() - start;
  return outcome;
}

}  // namespace baton::app
