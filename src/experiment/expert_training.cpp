#include "baton/experiment/expert_training.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/comm/share.hpp"
#include "baton/data/sampler.hpp"
#include "baton/train/new_adapter.hpp"
#include "baton/train/trainer.hpp"
#include "baton/train/validation.hpp"
#include "earlier_factors.hpp"
#include "resume.hpp"
#include "step_log.hpp"
#include "threshold_fit.hpp"
#include "training_saves.hpp"

namespace baton::experiment {

namespace {

train::TrainerOptions trainer_options(const config::Config& config,
                                      const method::Method& method,
                                      std::uint64_t seed) {
  train::TrainerOptions options;
  options.train_batch_size = config.train.train_batch_size;
  options.micro_batch_size = config.train.micro_batch_size;
  options.num_train_epochs = config.train.num_train_epochs;
  options.learning_rate = config.train.learning_rate;
  options.lr_scheduler_type = config.train.lr_scheduler_type;
  options.warmup_ratio = config.train.warmup_ratio;
  options.weight_decay = config.train.weight_decay;
  options.max_grad_norm = config.train.max_grad_norm;
  options.opening_loss_weight = method.opening_loss_weight();
  options.balanced_batches = method.balances_batches();
  options.orthogonality = method.orthogonality();
  options.early_stopping_patience = config.train.early_stopping_patience;
  options.early_stopping_threshold = config.train.early_stopping_threshold;
  options.deterministic = config.cluster.deterministic;
  options.seed = seed;
  return options;
}

expert::ExpertState new_state(const ExpertJob& job, std::uint64_t seed) {
  const config::Config& config = job.config;
  const weights::DecoderConfig& sizes = job.workspace.model->config();
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
  if (job.workspace.indicators) {
    state.accept_token_id = job.workspace.indicators->accept;
    state.pass_token_id = job.workspace.indicators->pass;
  }
  state.accept_threshold = job.method.threshold(job.prepared.training);
  state.prompt_template = job.workspace.prompt_template->name();
  state.seed = seed;
  state.num_positive = job.prepared.num_positive;
  state.num_negative = job.prepared.num_negative;
  state.arrays = train::new_adapter_arrays({sizes.num_hidden_layers, sizes.linear_shapes(),
                                            config.lora.lora_target, config.lora.lora_rank},
                                           seed);
  return state;
}

// One expert in training on this rank.
class ExpertTraining {
 public:
  ExpertTraining(const ExpertJob& job, comm::Communicator& group, const TrainingHooks& hooks)
      : job_(job), group_(group), hooks_(hooks), task_(job.identity.facts().at("task")) {}

  ExpertOutcome run() {
    hooks_.heartbeat.set_place("set up", task_, 0, true);
    {
      const work::Heartbeat::Section section(hooks_.heartbeat, "set up", false);
      comm::together(group_, [this] { state_ = new_state(job_, seed()); });
      read_earlier_experts();
      comm::together(group_, [this] { set_up(); });
      facts_.seconds =
          go_on_from_saved_state(job_.checkpoint_folder(), facts_, group_, trainer_->learner());
      comm::together(group_, [this] { open_files(); });
    }
    first_step_ = trainer_->learner().num_steps();
    ExpertOutcome outcome;
    outcome.stopped = !train();
    outcome.steps = outcome.stopped ? trainer_->learner().num_steps() : keep_best();
    const expert::ValidationFacts& validation = trainer_->learner().validation();
    if (validation.step > 0) {
      const bool keeps = trainer_->learner().keeps_best() && validation.best_step > 0;
      outcome.validation_loss = keeps ? validation.best_loss : validation.loss;
    }
    outcome.last_loss = trainer_->learner().last_loss();
    outcome.seconds = saves_->seconds();
    outcome.stopped = outcome.stopped || !fit_threshold(outcome.steps);
    const work::Heartbeat::Section section(hooks_.heartbeat, outcome.stopped ? "save" : "finish",
                                           false);
    comm::together(group_,
                   [&] { outcome.stopped ? saves_->finish_stop() : finish(outcome.steps); });
    outcome.threshold = state_.accept_threshold;
    outcome.calibration = calibration_;
    return outcome;
  }

 private:
  bool leads() const { return group_.rank() == 0; }

  std::uint64_t seed() const { return base::seed_for(job_.config.train.seed, {"expert", task_}); }

  model::Adapter adapter_of(const expert::ExpertState& state) const {
    return model::adapter_from_state(state, job_.workspace.model->config().num_hidden_layers,
                                     job_.workspace.model->device());
  }

  // What it goes on from, and what acts beside it.
  void read_earlier_experts() {
    if (job_.prepared.plan.begins_from) {
      read_factors(job_.paths, *job_.prepared.plan.begins_from, group_, state_.arrays);
    }
    for (const std::size_t position : job_.prepared.plan.beside) {
      expert::ExpertState earlier = state_;
      read_factors(job_.paths, position, group_, earlier.arrays);
      beside_.push_back(adapter_of(earlier));
      beside_.back().dropout = 0;  // it is frozen
    }
  }

  void set_up() {
    initial_ = adapter_of(state_);
    options_ = trainer_options(job_.config, job_.method, seed());
    options_.beside = beside_;
    train::TrainerOptions options = options_;
    options.before_slot = [this] { return before_slot(); };
    if (!hooks_.faults.empty()) {
      options.on_gradient = [this](std::int64_t step, comm::FloatBuffer gradient) {
        hooks_.faults.on_gradient(task_, step + 1, gradient);
      };
    }
    trainer_.emplace(*job_.workspace.model, group_, job_.prepared.training, initial_, options);
    facts_.task = task_;
    facts_.threads_per_rank = at::get_num_threads();
    facts_.identity = job_.identity;
  }

  bool before_slot() {
    hooks_.heartbeat.set_place("train", task_, trainer_->learner().num_steps(),
                               trainer_->learner().num_steps() == first_step_);
    if (leads() && saves_) {
      saves_->check();
    }
    if (!hooks_.faults.empty()) {
      hooks_.faults.before_slot(task_, hooks_.attempt, trainer_->learner().num_steps() + 1, group_);
    }
    return hooks_.should_stop();
  }

  void open_files() {
    if (leads()) {
      log_.emplace(job_.log_path(), LogStart{trainer_->learner().num_steps(),
                                             trainer_->learner().validation().step});
      if (job_.config.output.tensorboard) {
        log_->mirror_to(job_.tensorboard_folder());
      }
    }
    SavePlan plan{job_.checkpoint_folder(), job_.config.train.save_steps,
                  job_.config.train.save_seconds};
    plan.note = [this](const base::OrderedJson& line) { log_->write(line); };
    saves_.emplace(leads(), plan, trainer_->learner(), facts_, hooks_.stop_watcher);
    remember_for_rollback();
  }

  // False when asked to stop before the end.
  bool train() {
    if (!validate()) {  // an earlier attempt ended between an update and its validation
      return false;
    }
    while (!trainer_->learner().done()) {
      const double before = hooks_.heartbeat.seconds_run();
      std::optional<train::StepRecord> record;
      try {
        record = trainer_->train_step();
      } catch (const train::NonFiniteUpdate& error) {
        pass_over(error);
      }
      if (trainer_->stopped()) {
        return false;
      }
      const double seconds = hooks_.heartbeat.seconds_run() - before;
      if (record) {
        after_update(*record, seconds);
      }
      if (!validate()) {
        return false;
      }
      if (record) {
        remember_for_rollback();
        tell(*record, seconds);
      }
    }
    return true;
  }

  // Of what is learnt, after every so many updates and after the last.
  bool is_validation_due() const {
    const train::ExpertLearner& learner = trainer_->learner();
    const std::int64_t updates_per_epoch = data::updates_per_epoch(
        std::ssize(job_.prepared.training), job_.config.train.train_batch_size);
    const std::int64_t steps = job_.config.train.eval_steps;
    return !job_.prepared.validation.empty() && learner.num_steps() > learner.validation().step &&
           (learner.num_steps() % (steps > 0 ? steps : updates_per_epoch) == 0 ||
            learner.num_steps() == learner.num_updates());
  }

  // False when asked to stop.
  bool validate() {
    if (!is_validation_due()) {
      return true;
    }
    train::ExpertLearner& learner = trainer_->learner();
    const work::Heartbeat::Section section(hooks_.heartbeat, "validate", false);
    const double before = hooks_.heartbeat.seconds_run();
    const std::optional<double> loss = train::validation_loss(
        {*job_.workspace.model, learner.uses(), job_.prepared.validation,
         job_.config.train.micro_batch_size, [this] { return before_validation_batch(); }},
        group_);
    if (!loss) {
      return false;
    }
    learner.note_validation(*loss);
    comm::together(group_, [&] {
      if (leads()) {
        log_->write_validation(learner.num_steps(), *loss,
                               static_cast<std::int64_t>(job_.prepared.validation.size()),
                               hooks_.heartbeat.seconds_run() - before);
      }
    });
    return true;
  }

  bool before_validation_batch() {
    hooks_.heartbeat.set_place("validate", task_, trainer_->learner().num_steps());
    if (!hooks_.faults.empty()) {
      hooks_.faults.before_slot(task_, hooks_.attempt, FaultInjection::kAfterTraining, group_);
    }
    return hooks_.should_stop();
  }

  // An expert that is done early has no more updates than it made.
  void tell(const train::StepRecord& record, double seconds) const {
    const train::ExpertLearner& learner = trainer_->learner();
    ExpertStep step{record.step, learner.done() ? record.step : learner.num_updates(), record.loss,
                    static_cast<double>(record.num_tokens) / seconds};
    if (learner.validation().step > 0) {
      step.validation_loss = learner.validation().loss;
    }
    hooks_.on_step(step);
  }

  // The update after which what is kept was learnt.
  std::int64_t keep_best() {
    train::ExpertLearner& learner = trainer_->learner();
    if (!learner.keeps_best()) {
      return learner.num_steps();
    }
    const std::int64_t best = learner.take_best();
    comm::together(group_, [&] {
      if (leads()) {
        log_->write_kept(learner.num_steps(), learner.num_updates(), learner.validation());
        base::log_info(
            "train",
            fmt::format("{}: {} after update {} of {}; kept is what was learnt after "
                        "update {}, whose validation loss is the lowest ({:.4g})",
                        task_, learner.stops_early() ? "stops" : "ends", learner.num_steps(),
                        learner.num_updates(), best, learner.validation().best_loss));
      }
    });
    return best;
  }

  void after_update(const train::StepRecord& record, double seconds) {
    hooks_.heartbeat.set_place("train", task_, trainer_->learner().num_steps());
    {
      const work::Heartbeat::Section section(hooks_.heartbeat, "save");
      saves_->after_update();
    }
    if (record.step % job_.config.train.logging_steps == 0 || trainer_->learner().done()) {
      log_update(record, seconds);
    }
    warn_of_long_update(record.step, seconds);
  }

  void log_update(const train::StepRecord& record, double seconds) {
    const std::vector<double> rank_seconds = comm::from_all(group_, record.compute_seconds);
    rank_seconds_.resize(rank_seconds.size());
    for (std::size_t rank = 0; rank < rank_seconds.size(); ++rank) {
      rank_seconds_[rank] += rank_seconds[rank];
    }
    ++num_logged_;
    comm::together(group_, [&] {
      if (leads()) {
        log_->write_update(record, seconds, rank_seconds);
      }
    });
  }

  // Not an error: the watchdog counts from one micro-batch slot to the next, and it alone judges.
  void warn_of_long_update(std::int64_t step, double seconds) {
    const std::int64_t limit = job_.config.cluster.timeout_seconds;
    if (!leads() || limit == 0 || seconds <= static_cast<double>(limit) || warned_of_length_) {
      return;
    }
    warned_of_length_ = true;
    base::log_warning(
        "train",
        fmt::format("{}: update {} took {:.1f} s, longer than cluster.timeout_seconds = {}; "
                    "a micro-batch slot that takes so long would be taken for a hang (the "
                    "first update has ten times as long): raise the key, or set it to 0",
                    task_, step, seconds, limit));
  }

  bool rolls_back() const { return job_.config.train.non_finite == "rollback"; }

  void remember_for_rollback() {
    const bool is_border = job_.config.train.save_steps > 0 &&
                           trainer_->learner().num_steps() % job_.config.train.save_steps == 0;
    if (rolls_back() && (is_border || anchor_.parameters.empty())) {
      trainer_->learner().copy_state(anchor_);
    }
  }

  // Every rank of the group is here with the same error.
  void pass_over(const train::NonFiniteUpdate& error) {
    const std::int64_t first = rolls_back() ? anchor_.step : error.update();
    const auto num_left_out = static_cast<std::int64_t>(trainer_->learner().left_out().size()) +
                              error.update() - first + 1;
    if (job_.config.train.non_finite == "stop") {
      throw error;
    }
    if (num_left_out > std::max<std::int64_t>(10, trainer_->learner().num_updates() / 10)) {
      throw comm::GroupError(base::Error(
          base::ErrorKind::kNonFinite, "too many updates are not finite",
          {.where = fmt::format("expert {}, update {}", task_, error.update() + 1),
           .expected = "at most a tenth of the updates (or ten) left out",
           .found = fmt::format("{} of {}; the last one: {}", num_left_out,
                                trainer_->learner().num_updates(), error.details().found),
           .fix = "lower train.learning_rate, or look at these rows"}));
    }
    if (rolls_back()) {
      trainer_->learner().restore(anchor_);
    }
    trainer_->learner().leave_out(first, error.update());
    anchor_.skipped_updates.assign(trainer_->learner().left_out().begin(),
                                   trainer_->learner().left_out().end());
    comm::together(group_, [&] {
      if (!leads()) {
        return;
      }
      base::log_warning("train", fmt::format("{}: {}; updates {} to {} are left out", task_,
                                             error.details().found, first + 1, error.update() + 1));
      log_->write_left_out(first, error.update(), error.details().found);
    });
  }

  // False when asked to stop.
  bool fit_threshold(std::int64_t num_steps) {
    if (!job_.method.finds_threshold()) {
      return true;
    }
    const work::Heartbeat::Section section(hooks_.heartbeat, "threshold", false);
    calibration_ = experiment::fit_threshold(
        {job_, hooks_, options_, initial_, trainer_->learner().adapter(),
         static_cast<double>(num_steps) / static_cast<double>(trainer_->learner().num_updates())},
        group_);
    if (calibration_) {
      state_.accept_threshold = calibration_->threshold;
      state_.roc = calibration_->roc;
    }
    return calibration_.has_value();
  }

  void finish(std::int64_t num_steps) {
    saves_->finish();
    if (!leads()) {
      return;
    }
    for (double& seconds : rank_seconds_) {
      seconds /= static_cast<double>(std::max<std::int64_t>(1, num_logged_));
    }
    const std::string stragglers = work::straggler_text(rank_seconds_);
    if (!stragglers.empty()) {
      base::log_warning("train", fmt::format("{}: {}", task_, stragglers));
    }
    state_.steps = num_steps;
    state_.arrays = model::arrays_of(trainer_->learner().adapter());
    checkpoint::save_expert(job_.expert_path(), state_);
  }

  const ExpertJob& job_;
  comm::Communicator& group_;
  const TrainingHooks& hooks_;
  std::string task_;
  expert::ExpertState state_;
  expert::TrainingState facts_;   // without arrays
  expert::TrainingState anchor_;  // what a rollback goes back to
  train::TrainerOptions options_;
  model::Adapter initial_;
  std::vector<model::Adapter> beside_;
  std::optional<method::Calibration> calibration_;
  std::optional<train::Trainer> trainer_;
  std::optional<StepLog> log_;  // leader
  std::optional<TrainingSaves> saves_;
  std::int64_t first_step_ = 0;  // of this process, which may go on from saved state
  bool warned_of_length_ = false;
  std::vector<double> rank_seconds_;  // summed over the logged updates; at the end their mean
  std::int64_t num_logged_ = 0;
};

}  // namespace

ExpertOutcome train_expert(const ExpertJob& job,
                           comm::Communicator& group,
                           const TrainingHooks& hooks) {
  std::optional<base::LogLevelScope> speaks;
  if (group.rank() == 0) {  // nobody else knows how this expert goes
    speaks.emplace(base::LogLevel::kInfo);
  }
  return ExpertTraining(job, group, hooks).run();
}

}  // namespace baton::experiment
