// `baton eval`: the score matrix over all tasks and stages, spread over all ranks.

#include <fmt/format.h>

#include <iostream>
#include <optional>
#include <utility>

#include "baton/app/commands.hpp"
#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/run_lock.hpp"
#include "baton/checkpoint/run_status.hpp"
#include "baton/config/stop_signal.hpp"
#include "baton/data/dataset.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/eval/report.hpp"
#include "baton/metrics/metric.hpp"
#include "open_run.hpp"
#include "stop_watcher.hpp"
#include "versions.hpp"

namespace baton::app {

namespace {

eval::EvaluationInput read_queries(const config::Config& config,
                                   const Workspace& workspace,
                                   const LoadedExperts& experts) {
  const data::RowEncoder encoder(*workspace.tokenizer, *workspace.prompt_template, workspace.indicators,
                                 config.data.cutoff_len);
  const data::Dataset dataset(config.data.dataset_dir);
  eval::EvaluationInput input;
  input.experts = experts.chain;
  data::EncodingCounts counts;
  for (const expert::ExpertState& expert : experts.states) {
    const data::TaskData rows = dataset.read_task(
        expert.task, {.max_train_samples = 1, .max_eval_samples = config.data.max_eval_samples});
    eval::EvalTask task{expert.task, {}};
    for (const data::Example& example : rows.eval) {
      task.queries.push_back({example.id, encoder.encode_prompt(example, counts), example.references});
    }
    input.tasks.push_back(std::move(task));
  }
  if (counts.num_rows_cut > 0) {
    base::log_warning("data", fmt::format("the text of {} queries was cut to data.cutoff_len = {} ({} tokens in all)",
                                          counts.num_rows_cut, config.data.cutoff_len, counts.num_tokens_cut));
  }
  return input;
}

std::string describe_base(const config::Config& config, const Workspace& workspace) {
  return fmt::format("{}, {:.1f} M weights, {}",
                     std::filesystem::path(config.model.model_name_or_path).filename().string(),
                     static_cast<double>(workspace.model->config().num_parameters()) / 1e6, workspace.dtype);
}

class EvalRun {
 public:
  EvalRun(const config::Command& command, comm::ProcessWorld& world) : command_(command), world_(world) {}

  int run() {
    together(world_, [this] { open(); });
    try {
      return evaluate();
    } catch (const std::exception& exception) {
      note_failure(exception);
      throw;
    }
  }

 private:
  bool leads() const { return world_.rank() == 0; }

  void open() {
    folder_.emplace(checkpoint::RunFolder::load(command_.run));
    config_ = config_of_run(*folder_, command_.overrides, config::Purpose::kEval);
    metrics::make_metric(config_.eval.metric);
    if (leads()) {
      run_lock_.emplace(command_.run);
      checkpoint::begin_status(command_.run, checkpoint::status_here("eval", 0));
      stop_watcher_.emplace(command_.run, "eval");
    }
  }

  int evaluate() {
    num_threads_ = set_threads(config_.cluster, world_.local_rank(), world_.local_size());
    together(world_, [this] {
      workspace_.emplace(open_workspace(config_, world_.local_rank()));
      experts_ = load_experts(*folder_, *workspace_);
      input_ = read_queries(config_, *workspace_, experts_);
    });
    say_start();
    eval::LocalEvaluation local;
    together(world_, [&] { local = compute(); });
    const std::unique_ptr<comm::Communicator> group = world_.make_world_group();
    const eval::GatheredEvaluation all = eval::gather(input_, local, *group);
    together(world_, [&] { write(all); });
    group->close();
    return 0;
  }

  void say_start() const {
    if (!leads()) {
      return;
    }
    std::size_t num_queries = 0;
    for (const eval::EvalTask& task : input_.tasks) {
      num_queries += task.queries.size();
    }
    base::log_info("eval", fmt::format("{} queries of {} tasks, {} experts, base {}; {} ranks, {} threads each",
                                       num_queries, input_.tasks.size(), experts_.chain.size(),
                                       describe_base(config_, *workspace_), world_.size(), num_threads_));
  }

  eval::LocalEvaluation compute() {
    eval::EvaluationOptions options;
    options.eval_batch_size = config_.eval.eval_batch_size;
    options.progress = [this](std::int64_t done, std::int64_t total) {
      if (config::stop_requested()) {
        throw base::Error(base::ErrorKind::kStopped, "asked to stop during the evaluation",
                          {.fix = "run the same command again; the experts are untouched"});
      }
      if (leads()) {
        base::log_info("eval", fmt::format("batch {} of {} on this rank", done, total));
      }
    };
    return eval::evaluate_local(answering_of(*workspace_, config_), input_, options, world_.rank(), world_.size());
  }

  void write(const eval::GatheredEvaluation& all) {
    if (!leads()) {
      return;
    }
    const eval::EvaluationResult result = eval::summarise(input_, all.records, config_.eval.metric);
    const std::filesystem::path folder = folder_->eval_folder();
    base::make_directories(folder);
    base::write_file_atomically(folder / "predictions.jsonl", eval::predictions_jsonl(input_, result));
    base::write_file_atomically(folder / "matrix.csv", result.matrix.to_csv());
    base::write_file_atomically(folder / "timings.json",
                                eval::timings_json(all.timings, num_threads_,
                                                   static_cast<std::int64_t>(all.records.size())));
    base::write_file_atomically(folder / "results.json",
                                eval::results_json(result, describe_base(config_, *workspace_)));
    checkpoint::MadeBy made = checkpoint::made_here();
    made.num_ranks = world_.size();
    made.threads_per_rank = num_threads_;
    add_library_versions(made.libraries);
    for (const char* name : {"eval/predictions.jsonl", "eval/matrix.csv", "eval/results.json"}) {
      folder_->record_file(name, "", "", made);
    }
    std::cout << eval::matrix_table(result) << '\n'
              << eval::routing_table(result) << '\n'
              << eval::score_table(result) << "\nfiles: " << folder.string() << '\n'
              << std::flush;
    stop_watcher_.reset();
    checkpoint::RunStatus status = checkpoint::status_here("eval", 0);
    status.state = "done";
    checkpoint::write_status(command_.run, status);
    run_lock_.reset();
  }

  void note_failure(const std::exception& exception) const {
    const auto* known = dynamic_cast<const base::Error*>(&exception);
    const bool agreed = dynamic_cast<const AgreedError*>(&exception) != nullptr;
    if (agreed && !leads()) {
      return;
    }
    const base::Error error = known != nullptr ? *known : base::Error(base::ErrorKind::kInternal, exception.what());
    checkpoint::write_failure_once(
        command_.run, checkpoint::failure_of(checkpoint::status_here("eval", world_.rank()), error));
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  config::Config config_;
  int num_threads_ = 1;
  std::optional<checkpoint::RunFolder> folder_;
  std::optional<checkpoint::RunLock> run_lock_;  // rank 0
  std::optional<StopWatcher> stop_watcher_;      // rank 0
  std::optional<Workspace> workspace_;
  LoadedExperts experts_;
  eval::EvaluationInput input_;
};

}  // namespace

int run_eval(const config::Command& command, comm::ProcessWorld& world) {
  return EvalRun(command, world).run();
}

}  // namespace baton::app
