// `baton train`: whatever experts are missing from the run folder, each on its own group of ranks, all groups at
// once. Phases that can fail on the user's input end in agreement, so that every rank leaves with the same error.

#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "baton/app/commands.hpp"
#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/environment.hpp"
#include "baton/checkpoint/run_status.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/data/sampler.hpp"
#include "expert_training.hpp"
#include "progress_hub.hpp"
#include "run_setup.hpp"
#include "stop_watcher.hpp"
#include "versions.hpp"

namespace baton::app {

namespace {

class TrainRun {
 public:
  TrainRun(const config::Command& command, comm::ProcessWorld& world) : command_(command), world_(world) {}

  int run() {
    together(world_, [this] { read_config(); });
    try {
      return run_in_folder();
    } catch (const std::exception& exception) {
      note_failure(exception);
      throw;
    }
  }

 private:
  bool leads() const { return world_.rank() == 0; }
  std::filesystem::path root() const { return config_.output.output_dir; }

  void read_config() {
    config_ = config::load_config(command_.config_file, command_.overrides, config::Purpose::kTrain);
  }

  int run_in_folder() {
    num_threads_ = set_threads(config_.cluster, world_.local_rank(), world_.local_size());
    together(world_, [this] { open_folder(); });
    together(world_, [this] { workspace_.emplace(open_workspace(config_, world_.local_rank())); });
    say_start();
    together(world_, [this] { read_rows(); });
    find_missing();
    if (missing_.empty()) {
      finish_without_work();
      return 0;
    }
    together(world_, [this] { prepare(); });
    const bool stopped = train_all();
    together(world_, [this, stopped] { close_run(stopped); });
    world_group_->close();
    return stopped ? base::exit_code(base::ErrorKind::kStopped) : 0;
  }

  void open_folder() {
    if (!leads()) {
      return;
    }
    OpenRun open = open_run(config_);
    run_lock_.emplace(std::move(open.lock));
    folder_.emplace(std::move(open.folder));
    checkpoint::begin_status(root(), checkpoint::status_here("train", world_.rank()));
    status_begun_ = true;
    stop_watcher_.emplace(root(), "train");
    for (const std::string& name : command_.replace) {
      const std::string moved = folder_->move_aside(name);
      base::log_info("train", moved.empty() ? fmt::format("{}: no expert to replace", name)
                                            : fmt::format("{}: the old expert is now {}", name, moved));
    }
  }

  void say_start() {
    if (!leads()) {
      return;
    }
    std::cerr << config::describe(config_);
    const weights::LlamaConfig& sizes = workspace_->model->config();
    base::log_info("train", fmt::format("base {}: {:.1f} M weights, {} layers, width {}, as {} ({})",
                                        config_.model.model_name_or_path,
                                        static_cast<double>(sizes.num_parameters()) / 1e6, sizes.num_hidden_layers,
                                        sizes.hidden_size, workspace_->dtype, workspace_->dtype_reason));
    base::log_info("train", workspace_->device.description);
    base::log_info("train", fmt::format("{} ranks, {} on this machine, {} threads each; {}; template {}", world_.size(),
                                        world_.local_size(), num_threads_,
                                        config_.cluster.deterministic
                                            ? "deterministic: the same bits for any number of ranks"
                                            : "fast reduction: last bits depend on the group's size",
                                        workspace_->prompt_template->name()));
  }

  void read_rows() {
    // Rank 0 makes the buffers before the others look for them.
    general_rows_ = read_general_rows(config_);
    if (leads()) {
      tasks_ = load_task_rows(config_, &*folder_);
    }
  }

  void find_missing() {
    together(world_, [this] {
      if (!leads()) {
        tasks_ = load_task_rows(config_, nullptr);
      }
      for (std::size_t index = 0; index < tasks_.size(); ++index) {
        identities_.push_back(identity_of(config_, *workspace_, tasks_, index, general_rows_));
      }
    });
    std::string message;
    together(world_, [&] {
      if (leads()) {
        for (const std::size_t index : find_missing_experts(*folder_, identities_)) {
          message += std::to_string(index) + ",";
        }
        folder_->record().config = config::resolved(config_);
        folder_->save();
      }
    });
    world_group_ = world_.make_world_group();
    for (const std::string& part : base::split_list(world_group_->broadcast_bytes(message, 0))) {
      if (!part.empty()) {
        missing_.push_back(static_cast<std::size_t>(std::stoul(part)));
      }
    }
  }

  void prepare() {
    const data::RowEncoder encoder(*workspace_->tokenizer, *workspace_->prompt_template, workspace_->indicators,
                                   config_.data.cutoff_len);
    coordinator::PlanRequest request;
    for (const std::size_t index : missing_) {
      prepared_.push_back(prepare_expert(config_, encoder, tasks_, index, general_rows_));
      const PreparedExpert& expert = prepared_.back();
      const std::int64_t micro = config_.train.micro_batch_size;
      request.experts.push_back(
          {tasks_[index].name, static_cast<double>(expert.num_tokens()) * config_.train.num_train_epochs,
           static_cast<int>((config_.train.train_batch_size + micro - 1) / micro)});
      if (leads()) {
        for (const std::string& warning : expert.warnings) {
          base::log_warning("data", warning);
          folder_->record().warnings.push_back(warning);
        }
      }
    }
    request.node_of_rank = world_.node_of_rank();
    const auto to_int = [](const std::optional<std::int64_t>& value) {
      return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
    };
    request.groups = to_int(config_.cluster.groups);
    request.ranks_per_group = to_int(config_.cluster.ranks_per_group);
    plan_ = coordinator::make_group_plan(request);
    if (leads()) {
      std::cerr << coordinator::plan_text(plan_, request);
    }
  }

  ExpertJob job_of(const PreparedExpert& expert) const {
    const std::string& task = tasks_[expert.task_index].name;
    const std::string stem = checkpoint::task_file_stem(expert.task_index, task);
    return {config_, *workspace_, expert, identities_[expert.task_index],
            root() / "experts" / (stem + ".h5"), root() / "logs" / (stem + ".jsonl")};
  }

  std::int64_t updates_of(const PreparedExpert& expert) const {
    return data::Sampler(static_cast<std::int64_t>(expert.training.size()), config_.train.train_batch_size,
                         config_.train.micro_batch_size, config_.train.num_train_epochs, 0)
        .num_updates();
  }

  // True when asked to stop.
  bool train_all() {
    std::int64_t total_steps = 0;
    for (const PreparedExpert& expert : prepared_) {
      total_steps += updates_of(expert);
    }
    ProgressHub hub(world_, total_steps, [this](const ProgressMessage& message) { record_expert(message); });
    std::unique_ptr<comm::Communicator> group = world_.split(coordinator::rank_lists(plan_));
    bool stopped = false;
    if (group) {
      group = comm::make_communicator(std::move(group), {comm::backend_from_name(config_.cluster.backend),
                                                         workspace_->device,
                                                         static_cast<double>(config_.cluster.timeout_seconds), nullptr});
      base::log_info("comm", fmt::format("group of {} over {}", group->size(), group->backend()));
      stopped = train_in_group(*group, hub);
    }
    hub.wait_for_groups(static_cast<int>(plan_.groups.size()));
    stopped = world_group_->all_reduce_max(stopped ? 1 : 0) != 0;
    if (group) {
      group->close();
    }
    return stopped;
  }

  int my_group() const {
    for (std::size_t g = 0; g < plan_.groups.size(); ++g) {
      for (const int rank : plan_.groups[g].ranks) {
        if (rank == world_.rank()) {
          return static_cast<int>(g);
        }
      }
    }
    return -1;
  }

  bool train_in_group(comm::Communicator& group, ProgressHub& hub) {
    const int number = my_group();
    const bool speaks = group.rank() == 0;
    bool stopped = false;
    for (const int planned : plan_.groups[static_cast<std::size_t>(number)].experts) {
      const PreparedExpert& expert = prepared_[static_cast<std::size_t>(planned)];
      const ExpertJob job = job_of(expert);
      ProgressMessage message;
      message.group = number;
      message.expert = tasks_[expert.task_index].name;
      message.num_ranks = group.size();
      const ExpertOutcome outcome = train_expert(job, group, [&](const ExpertStep& step) {
        if (speaks) {
          message.step = step.step;
          message.total = step.num_steps;
          message.loss = step.loss;
          message.tokens_per_second = step.tokens_per_second;
          hub.tell(message);
        }
        hub.poll();
      });
      stopped = outcome.stopped;
      if (stopped) {
        break;
      }
      if (speaks) {
        message.kind = ProgressMessage::Kind::kFinished;
        message.seconds = outcome.seconds;
        message.threshold = outcome.threshold;
        hub.tell(message);
      }
    }
    if (speaks) {
      ProgressMessage done;
      done.kind = ProgressMessage::Kind::kGroupDone;
      hub.tell(done);
    }
    return stopped;
  }

  // On rank 0, as soon as a leader says that its file is there.
  void record_expert(const ProgressMessage& message) {
    checkpoint::MadeBy made = checkpoint::made_here();
    made.num_ranks = message.num_ranks;
    made.threads_per_rank = num_threads_;
    made.seconds = message.seconds;
    add_library_versions(made.libraries);
    for (const PreparedExpert& expert : prepared_) {
      const TaskRows& task = tasks_[expert.task_index];
      if (task.name == message.expert) {
        folder_->record_file(folder_->expert_file(task.name), task.name,
                             identities_[expert.task_index].fingerprint(), made);
        table_.push_back({task.name, std::to_string(expert.num_positive), std::to_string(expert.num_negative),
                          std::to_string(message.step), fmt::format("{:.4f}", message.loss),
                          fmt::format("{:.4g}", message.threshold), fmt::format("{:.1f}", message.seconds),
                          folder_->expert_file(task.name)});
      }
    }
    stop_watcher_->write_progress();
  }

  void finish_without_work() {
    together(world_, [this] {
      if (leads()) {
        base::log_info("train", fmt::format("all {} experts are there and belong to this config: nothing to do", tasks_.size()));
        close_run(false);
      }
    });
    world_group_->close();
  }

  void close_run(bool stopped) {
    if (!leads()) {
      return;
    }
    stop_watcher_.reset();
    checkpoint::RunStatus status = checkpoint::status_here("train", world_.rank());
    status.state = stopped ? "stopped" : "done";
    status.exit_code = stopped ? base::exit_code(base::ErrorKind::kStopped) : 0;
    checkpoint::write_status(root(), status);
    if (!table_.empty()) {
      std::cerr << base::format_table(
          {"expert", "positives", "negatives", "updates", "last loss", "threshold", "seconds", "file"}, table_);
    }
    if (stopped) {
      base::log_warning("train", "asked to stop: finished experts are kept, those in training begin anew; run the same command again");
    } else {
      std::cerr << fmt::format("run folder: {}\nnext: baton eval --run {}\n", root().string(), root().string());
    }
    run_lock_.reset();
  }

  // The rank that failed first has its error in status.json and on the screen; what others say after it is an echo.
  void note_failure(const std::exception& exception) {
    const auto* known = dynamic_cast<const base::Error*>(&exception);
    const base::Error error = known != nullptr ? *known : base::Error(base::ErrorKind::kInternal, exception.what());
    const bool agreed = dynamic_cast<const AgreedError*>(&exception) != nullptr;
    if (agreed && (!leads() || !status_begun_)) {
      return;
    }
    const bool first = checkpoint::write_failure_once(
        root(), checkpoint::failure_of(checkpoint::status_here("train", world_.rank()), error));
    if (!first && !agreed && world_.size() > 1) {
      std::this_thread::sleep_for(std::chrono::seconds(10));  // the first one is ending the world
    }
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  config::Config config_;
  int num_threads_ = 1;
  std::optional<checkpoint::RunLock> run_lock_;       // rank 0
  std::optional<checkpoint::RunFolder> folder_;       // rank 0
  bool status_begun_ = false;
  std::optional<StopWatcher> stop_watcher_;           // rank 0
  std::optional<Workspace> workspace_;
  std::vector<data::Example> general_rows_;
  std::vector<TaskRows> tasks_;
  std::vector<expert::Identity> identities_;
  std::vector<std::size_t> missing_;                  // positions of tasks
  std::vector<PreparedExpert> prepared_;              // of the missing ones
  coordinator::GroupPlan plan_;
  std::unique_ptr<comm::Communicator> world_group_;
  std::vector<std::vector<std::string>> table_;
};

}  // namespace

int run_train(const config::Command& command, comm::ProcessWorld& world) {
  return TrainRun(command, world).run();
}

}  // namespace baton::app
