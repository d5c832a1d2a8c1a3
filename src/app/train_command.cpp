// `baton train`: whatever experts are missing from the run folder, each on its own group of ranks,
// handed out one by one to whichever group is free. Phases that can fail on the user's input end in
// agreement, so that every rank leaves with the same error.

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <utility>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/base/utf8.hpp"
#include "baton/base/wire.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/comm/agree.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/data/sampler.hpp"
#include "baton/device/device.hpp"
#include "baton/device/host.hpp"
#include "baton/experiment/buffer_choice.hpp"
#include "baton/experiment/expert_training.hpp"
#include "baton/experiment/identity.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/experiment/run_rows.hpp"
#include "baton/experiment/run_setup.hpp"
#include "baton/experiment/run_start.hpp"
#include "baton/work/run_session.hpp"
#include "baton/work/watchdog.hpp"
#include "baton/work/work_loop.hpp"
#include "commands.hpp"
#include "progress_board.hpp"
#include "start_report.hpp"
#include "trained_table.hpp"

namespace baton::app {

namespace {

// Rows of a task that are encoded to guess its tokens: enough to put experts into an order.
constexpr std::size_t kRowsToMeter = 64;

class TrainRun {
 public:
  TrainRun(const config::Command& command, comm::ProcessWorld& world)
      : command_(command), world_(world), session_(world, "train") {}

  int run() {
    world_.check_same_build(base::build_identity(config::version()));
    work::together(world_, [this] { read_config(); });
    meet();
    work::together(world_, [this] { open_folder(); });
    // Rank 0 decided when it opened the folder.
    config_.model.dtype = work::from_leader(world_, [this] { return config_.model.dtype; });
    work::Watchdog watchdog(
        world_, heartbeat_,
        {.timeout_seconds = static_cast<double>(config_.cluster.timeout_seconds),
         .run = root(),
         .command = "train"});
    const int code = session_.guard([this] { return run_in_folder(); });
    watchdog.close();
    return code;
  }

 private:
  bool leads() const { return world_.rank() == 0; }
  std::filesystem::path root() const { return config_.output.output_dir; }

  void read_config() {
    config_ =
        config::load_config(command_.config_file, command_.overrides, config::Purpose::kTrain);
    method_ = method::make_method(config_);
    learners_ = method_->learners(config_.data.tasks.size());
    paths_ = run::RunPaths(root(), config_.data.tasks);
    faults_ = experiment::FaultInjection::from_environment(world_.rank());
  }

  // What the ranks are, before anything is decided or written.
  void meet() {
    work::together(world_, [this] {
      num_threads_ =
          experiment::set_threads(config_.cluster, world_.local_rank(), world_.local_size());
      device_ = device::choose_device(world_.local_rank(), world_.local_size());
    });
    ranks_ =
        experiment::gather_rank_facts(world_, experiment::facts_of_this_rank(device_, faults_));
  }

  void open_folder() {
    if (!leads()) {
      session_.begin(root(), std::nullopt);
      return;
    }
    experiment::OpenRun open = experiment::open_run(config_, ranks_);
    folder_.emplace(std::move(open.folder));
    dtype_reason_ = open.dtype.reason;
    session_.begin(root(), std::move(open.lock));
  }

  int run_in_folder() {
    work::together(world_, [this] {
      if (leads()) {
        start_.emplace(config_, *method_, *folder_, command_.replace);
      }
    });
    load();
    find_missing();
    if (!missing_.empty()) {
      work::together(world_, [this] { plan(); });
    }
    session_.stop_point();
    carry_out();
    if (missing_.empty()) {
      return finish_without_work();
    }
    session_.stop_point();
    const work::WorkOutcome outcome = train_all();
    return close_run(outcome);
  }

  void load() {
    const work::Heartbeat::Section section(heartbeat_, "load");
    work::together(world_, [this] {
      workspace_.emplace(experiment::open_workspace(config_, device_));
      experiment::find_indicators(config_.method, *method_, *workspace_);
    });
    say_start();
    session_.stop_point();
    work::together(world_, [this] {
      encoder_.emplace(
          experiment::make_row_encoder(config_, *workspace_, workspace_->model->config()));
    });
    work::agreed_by_the_world([this] {
      experiment::choose_buffers({config_, *workspace_, *encoder_, leads() ? &*start_ : nullptr},
                                 world_.everyone());
    });
    facts_ = work::from_leader(world_, [this] {
      return start_->read_rows(experiment::RowMeter(row_making(), kRowsToMeter));
    });
    if (config_.cluster.backend != "mpi") {
      work::together(
          world_, [this] { comm::check_one_rank_per_gpu(world_.everyone(), workspace_->device); });
    }
    work::together(world_, [this] {
      identities_ = experiment::identities_of(config_, *workspace_, *method_, facts_);
    });
    session_.stop_point();
  }

  const expert::Identity& identity_of(std::size_t position) const {
    return identities_.at(position);
  }

  experiment::RowMaking row_making() const {
    return {*method_, workspace_->indicators.value_or(expert::Indicators{}), *encoder_,
            config_.data.cutoff_len, experiment::validation_size_of(config_)};
  }

  void say_start() {
    if (!leads()) {
      return;
    }
    if (const std::string warning = experiment::FaultInjection::warning(); !warning.empty()) {
      base::log_warning("train", warning);
    }
    say_start_of_training(
        config_, *workspace_,
        {command_.shows_all_keys, dtype_reason_, world_.size(), world_.local_size(), num_threads_});
    const std::string unlike = experiment::describe_unlike_ranks(ranks_);
    if (!unlike.empty()) {
      base::log_warning("train", unlike);
      std::vector<std::string>& noted = folder_->record().warnings;
      if (std::find(noted.begin(), noted.end(), unlike) == noted.end()) {
        noted.push_back(unlike);
      }
    }
  }

  void find_missing() {
    missing_ = work::from_leader(world_, [this] {
      return start_->find_missing([this](std::size_t index) { return identity_of(index); });
    });
  }

  // Everything is read and checked: the run folder may change now.
  void carry_out() {
    work::together(world_, [&] {
      if (leads()) {
        start_->carry_out(facts_);
      }
    });
  }

  void plan() {
    for (const std::size_t index : missing_) {
      plan_request_.experts.push_back(
          experiment::cost_of(config_, facts_, method::plan_at(learners_, index), *method_));
    }
    plan_request_.node_of_rank = world_.node_of_rank();
    experiment::fill_plan_request(config_, plan_request_);
    plan_ = coordinator::make_group_plan(plan_request_);
    if (leads()) {
      std::cerr << coordinator::plan_text(plan_, plan_request_);
      const std::uint64_t bytes = checkpoint::generation_bytes(
          experiment::lora_parameters_of(config_, workspace_->model->config()),
          config_.train.early_stopping_patience > 0);
      checkpoint::check_free_space(
          root(),
          bytes * (plan_.groups.size() * (checkpoint::kGenerationsKept + 1) + missing_.size()),
          "experts and training state");
    }
  }

  // As the rows were metered: rows to leave out are known when they are encoded.
  std::int64_t updates_of(std::size_t index) const {
    return data::Sampler(facts_.sums_of(method::plan_at(learners_, index)).num_rows,
                         config_.train.train_batch_size, config_.train.micro_batch_size,
                         config_.train.num_train_epochs, 0)
        .num_updates();
  }

  work::WorkOutcome train_all() {
    work::WorkRequest request;
    request.groups = coordinator::rank_lists(plan_);
    groups_ = request.groups;
    std::vector<std::string> names;
    std::int64_t total_steps = 0;
    for (std::size_t i = 0; i < missing_.size(); ++i) {
      const coordinator::ExpertCost& cost = plan_request_.experts[i];
      request.items.push_back(
          {cost.name, cost.token_steps, cost.max_useful_ranks,
           experiment::items_before(method::plan_at(learners_, missing_[i]), missing_)});
      names.push_back(cost.name);
      total_steps += updates_of(missing_[i]);
    }
    if (leads()) {
      board_.emplace(std::move(names), total_steps);
    }
    request.run_item = [this](int item, int attempt, comm::Communicator& group,
                              work::ItemContext& context) {
      return train_item(task_index(item), attempt, group, context);
    };
    request.on_event = [this](const coordinator::Event& event) {
      std::visit([this](const auto& e) { on(e); }, event);
    };

    std::unique_ptr<comm::Communicator> group = form_group(request.groups);
    const work::WorkOutcome outcome = work::run_work(world_, group.get(), group_index_, request,
                                                     session_.stop_watcher(), heartbeat_);
    if (group) {
      group->close();
    }
    return outcome;
  }

  std::unique_ptr<comm::Communicator> form_group(const std::vector<std::vector<int>>& groups) {
    const work::Heartbeat::Section section(heartbeat_, "form groups", false);
    std::unique_ptr<comm::Communicator> group = world_.split(groups);
    group_index_ = work::group_index_of(groups, world_.rank());
    if (group) {
      std::optional<base::LogLevelScope> speaks;
      if (group_index_ == 0 && group->rank() == 0) {  // the choice is the same in all groups
        speaks.emplace(base::LogLevel::kInfo);
      }
      group = comm::make_communicator(std::move(group),
                                      {.backend = comm::backend_from_name(config_.cluster.backend),
                                       .device = workspace_->device,
                                       .deterministic = config_.cluster.deterministic});
    }
    return group;
  }

  // Rows are read when their expert is in hand, and go with it.
  experiment::PreparedExpert prepare(std::size_t index, comm::Communicator& group) {
    const work::Heartbeat::Section section(heartbeat_, "prepare");
    const experiment::ExpertRows rows =
        experiment::share_expert_rows(config_, facts_, method::plan_at(learners_, index), group);
    experiment::PreparedExpert prepared;
    comm::together(
        group, [&] { prepared = experiment::prepare_expert(row_making(), rows, facts_.general); });
    if (group.rank() == 0) {
      const base::LogLevelScope speaks(base::LogLevel::kInfo);
      for (const std::string& warning : prepared.warnings) {
        base::log_warning("data", warning);
      }
    }
    return prepared;
  }

  work::ItemResult train_item(std::size_t index,
                              int attempt,
                              comm::Communicator& group,
                              work::ItemContext& context) {
    const experiment::PreparedExpert prepared = prepare(index, group);
    const experiment::ExpertJob job{config_,  *workspace_,        *method_,
                                    prepared, identity_of(index), paths_};
    const experiment::TrainingHooks hooks{[&](const experiment::ExpertStep& step) {
                                            context.tell(step.step, step.num_steps, step.loss,
                                                         step.tokens_per_second,
                                                         step.validation_loss);
                                          },
                                          [&] { return context.should_stop(); },
                                          session_.stop_watcher(),
                                          heartbeat_,
                                          faults_,
                                          attempt};
    const experiment::ExpertOutcome outcome = experiment::train_expert(job, group, hooks);
    work::ItemResult result;
    result.stopped = outcome.stopped;
    result.payload = base::to_bytes(TrainedExpert{.task = facts_.tasks[index].name,
                                                  .num_positive = prepared.num_positive,
                                                  .num_negative = prepared.num_negative,
                                                  .num_updates = outcome.steps,
                                                  .last_loss = outcome.last_loss,
                                                  .validation_loss = outcome.validation_loss,
                                                  .threshold = outcome.threshold,
                                                  .seconds = outcome.seconds,
                                                  .calibration = outcome.calibration,
                                                  .warnings = prepared.warnings});
    return result;
  }

  // ---- events, on rank 0 in the coordinator's thread

  std::size_t task_index(int item) const { return missing_[static_cast<std::size_t>(item)]; }
  const std::string& name_of(int item) const { return facts_.tasks[task_index(item)].name; }

  void on(const coordinator::ItemStarted& event) {
    board_->clear();
    base::log_info(
        "train", fmt::format("{}: to group {}{}", name_of(event.item), event.group,
                             event.attempt > 1 ? fmt::format(", attempt {}", event.attempt) : ""));
  }

  void on(const coordinator::ItemProgress& event) { board_->show(event.group, event.progress); }

  // The expert's file is there: it goes into run.json, and its training state is no longer needed.
  void on(const coordinator::ItemFinished& event) {
    const auto trained = base::from_bytes<TrainedExpert>(event.payload, "a finished expert");
    const std::string& task = name_of(event.item);
    std::vector<std::string>& noted = folder_->record().warnings;
    for (const std::string& warning : trained.warnings) {
      noted.push_back(base::to_valid_utf8(warning));
    }
    for (const std::string& doubt : table_.add(event.item, trained)) {
      noted.push_back(doubt);
    }
    run::MadeBy made =
        experiment::made_by_ranks(ranks_, groups_[static_cast<std::size_t>(event.group)]);
    made.seconds = trained.seconds;
    folder_->record_file(folder_->expert_file(task), task,
                         identity_of(task_index(event.item)).fingerprint(), made);
    checkpoint::remove_generations(folder_->path_of(folder_->checkpoint_folder(task)));
    board_->finish(event.group, event.item, made.seconds);
    session_.write_progress();
  }

  void on(const coordinator::ItemFailed& event) {
    board_->clear();
    base::log_warning(
        "train",
        fmt::format("{}: attempt {} on group {} failed{}: {}", name_of(event.item), event.attempt,
                    event.group, event.will_retry ? ", it will be tried again" : "", event.text));
  }

  void on(const coordinator::ItemGivenUp& event) {
    base::log_warning("train", fmt::format("{}: not trained, for {} is missing",
                                           name_of(event.item), name_of(event.missing)));
  }

  void on(const coordinator::GroupLeft&) {}

  // ---- the end

  int finish_without_work() {
    if (leads()) {
      base::log_info(
          "train", fmt::format("all {} experts are there and belong to this config: nothing to do",
                               learners_.size()));
      session_.end("done", 0);
      say_next();
    }
    return 0;
  }

  int close_run(const work::WorkOutcome& outcome) {
    if (leads()) {
      table_.print();
    }
    if (!outcome.failures.empty()) {
      fail_with(outcome);
    }
    const bool stopped = outcome.stopped && !outcome.missing.empty();
    const int code = stopped ? base::exit_code(base::ErrorKind::kStopped) : 0;
    work::together(world_, [&] {
      if (!leads()) {
        return;
      }
      if (stopped) {
        base::log_warning(
            "train",
            fmt::format(
                "asked to stop: {} of {} experts are still to be finished, their training state is "
                "saved; run the same command again",
                outcome.missing.size(), missing_.size()));
        session_.end("stopped", code,
                     "asked to stop; state is saved, run the same command again to go on");
      } else {
        session_.end("done", 0);
        say_next();
      }
    });
    return code;
  }

  // Every rank has the same outcome and throws the same error: the first failure's kind decides the
  // exit code.
  [[noreturn]] void fail_with(const work::WorkOutcome& outcome) const {
    std::string found;
    for (const work::ItemFailure& failure : outcome.failures) {
      found += fmt::format("\n    {}: {}", name_of(failure.item), failure.text);
    }
    std::vector<std::string> missing;
    for (const int item : outcome.missing) {
      missing.push_back(name_of(item));
    }
    throw work::AgreedError(base::Error(
        outcome.failures.front().kind,
        fmt::format("{} of {} experts are missing", missing.size(), missing_.size()),
        {.where = root().string(),
         .expected = "every expert trained",
         .found = "missing: " + base::join(missing, ", ") + found,
         .fix =
             "mend the cause and run the same command again: what is finished and saved is kept"}));
  }

  void say_next() const {
    std::cerr << fmt::format("run folder: {}\nnext: baton eval --run {}\n", root().string(),
                             root().string());
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  work::RunSession session_;
  work::Heartbeat heartbeat_;
  config::Config config_;
  experiment::FaultInjection faults_;
  int num_threads_ = 1;
  std::unique_ptr<method::Method> method_;
  std::vector<method::LearnerPlan> learners_;
  run::RunPaths paths_;
  device::Device device_;
  std::vector<experiment::RankFacts> ranks_;   // by world rank
  std::string dtype_reason_;                   // rank 0
  std::optional<run::RunFolder> folder_;       // rank 0
  std::optional<experiment::RunStart> start_;  // rank 0
  std::optional<experiment::Workspace> workspace_;
  std::optional<data::RowEncoder> encoder_;
  experiment::RunFacts facts_;
  std::map<std::size_t, expert::Identity> identities_;  // by position
  std::vector<std::size_t> missing_;                    // positions of tasks
  coordinator::PlanRequest plan_request_;
  coordinator::GroupPlan plan_;
  int group_index_ = -1;
  std::vector<std::vector<int>> groups_;  // world ranks, the leader first
  std::optional<ProgressBoard> board_;    // rank 0
  TrainedTable table_;                    // rank 0
};

}  // namespace

int run_train(const config::Command& command, comm::ProcessWorld& world) {
  return TrainRun(command, world).run();
}

}  // namespace baton::app
