// `baton eval`: the score matrix over all tasks and stages. Chunks of queries are handed to
// whichever rank is free; what is done stays on disk until all is.

#include <fmt/format.h>

#include <iostream>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/base/wire.hpp"
#include "baton/device/host.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/eval/report.hpp"
#include "baton/experiment/analytic_fit.hpp"
#include "baton/experiment/finished_evaluation.hpp"
#include "baton/experiment/gate_fit.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/experiment/partial_evaluation.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/metrics/metric.hpp"
#include "baton/work/run_session.hpp"
#include "baton/work/stop_signal.hpp"
#include "baton/work/watchdog.hpp"
#include "baton/work/work_loop.hpp"
#include "commands.hpp"
#include "eval_queries.hpp"
#include "predictions_export.hpp"
#include "progress_board.hpp"
#include "questions_command.hpp"

namespace baton::app {

namespace {

// What records depend on besides the queries. The scorer is not among them: scores are made from
// the answers at the end.
std::string facts_of(const config::Config& config,
                     const experiment::Workspace& workspace,
                     const experiment::LoadedExperts& experts,
                     const std::string& router,
                     int num_threads) {
  std::string facts =
      fmt::format("{} {} {} {} {} {}", workspace.model->fingerprint(), workspace.dtype,
                  config.eval.eval_batch_size, config.data.max_new_tokens, num_threads, router);
  for (std::size_t i = 0; i < experts.chain.size(); ++i) {
    // The file, for one identity may have been trained to other bytes; the threshold, for it may be
    // set anew without a change of the file.
    facts += fmt::format(" {} {} {}", experts.chain[i].name, experts.digests[i],
                         experts.chain[i].threshold);
  }
  return facts;
}

class EvalRun {
 public:
  EvalRun(const config::Command& command, comm::ProcessWorld& world)
      : command_(command), world_(world), session_(world, "eval") {}

  int run() {
    world_.check_same_build(base::build_identity(config::version()));
    open();
    work::Watchdog watchdog(
        world_, heartbeat_,
        {.timeout_seconds = static_cast<double>(config_.cluster.timeout_seconds),
         .run = command_.run,
         .command = "eval"});
    const int code = session_.guard([this] { return evaluate(); });
    watchdog.close();
    return code;
  }

 private:
  bool leads() const { return world_.rank() == 0; }
  bool exports() const { return !command_.export_predictions.empty(); }

  // run.json is read under the lock: whoever had the folder before may have written it to the last.
  void open() {
    std::optional<run::RunLock> lock;
    work::together(world_, [&] {
      if (leads()) {
        run::RunFolder::require(command_.run);
        lock.emplace(command_.run);
      }
    });
    work::together(world_, [&] {
      folder_.emplace(run::RunFolder::load(command_.run));
      config_ = experiment::config_of_run(*folder_, command_.overrides, config::Purpose::kEval);
      metrics::make_scorer(config_.eval.metric);
      method_ = method::make_method(config_);
      router_ = method_->make_router();
      for (const std::string& name : config_.eval.routers) {
        if (name != router_->name()) {
          more_routers_.push_back(method_->make_router(name));
        }
      }
      if (leads() && exports()) {
        check_export_file(*folder_, command_.export_predictions);
      }
      session_.begin(command_.run, std::move(lock));
    });
  }

  int evaluate() {
    if (exports() && is_done_already()) {
      return export_alone();
    }
    load();
    session_.stop_point();
    const work::WorkOutcome outcome = compute();
    if (!outcome.failures.empty()) {
      fail_with(outcome);
    }
    if (!outcome.missing.empty()) {
      return stop(outcome.missing.size());
    }
    work::together(world_, [this] {
      if (leads()) {
        write();
      }
    });
    return 0;
  }

  bool is_done_already() {
    return work::from_leader(world_,
                             [this] { return experiment::is_evaluated(*folder_, config_); });
  }

  int export_alone() {
    work::together(world_, [this] {
      if (leads()) {
        base::log_info("eval", "the evaluation is there already; nothing is evaluated anew");
        export_predictions(*folder_, config_, command_.export_predictions);
        session_.end("done", 0);
      }
    });
    return 0;
  }

  void load() {
    const work::Heartbeat::Section section(heartbeat_, "load");
    num_threads_ =
        experiment::set_threads(config_.cluster, world_.local_rank(), world_.local_size());
    device::Device device;
    work::together(world_, [&] {
      device = device::choose_device(world_.local_rank(), world_.local_size());
      faults_ = experiment::FaultInjection::from_environment(world_.rank());
    });
    ranks_ = experiment::gather_rank_facts(world_, experiment::facts_of_this_rank(device, faults_));
    work::together(world_, [&] {
      workspace_.emplace(experiment::open_workspace(config_, device));
      experts_ = experiment::load_experts(*folder_, config_, *method_, *workspace_);
      input_ = read_queries(config_, *workspace_, experts_);
    });
    work::agreed_by_the_world([this] {
      prepare_features();
      prepare_ensembles();
    });
    work::together(world_, [&] {
      input_.router = router_.get();
      for (const auto& router : more_routers_) {
        input_.more_routers.push_back(router.get());
      }
      input_.has_experts = method_->has_experts();
      chunks_ =
          eval::plan_chunks(input_, config_.eval.eval_batch_size, config_.data.max_new_tokens);
      partial_.emplace(
          folder_->paths().eval_folder(), input_,
          facts_of(config_, *workspace_, experts_, routers_text(), num_threads_) + gates_text_);
    });
    work::together(world_, [this] {
      if (leads()) {
        say_start();
        base::make_directories(folder_->paths().eval_folder());
        partial_->open();
      }
    });
  }

  // Who of them may answer decides what is decoded.
  std::string routers_text() const {
    std::vector<std::string> names;
    for (const method::Router* router : routers()) {
      names.push_back(router->name());
    }
    return base::join(names, ",");
  }

  // What a router that looks at features needs: the queries', and a classifier of them.
  void prepare_features() {
    std::vector<method::Router*> in_need;
    for (auto* router : routers()) {
      if (router->needs_features()) {
        in_need.push_back(router);
      }
    }
    if (in_need.empty()) {
      return;
    }
    comm::Communicator& everyone = world_.everyone();
    const auto classifier = experiment::make_classifier(
        {*folder_, config_, *workspace_, experts_, /*may_write=*/true}, everyone);
    for (method::Router* router : in_need) {
      router->take(classifier);
    }
    for (eval::EvalTask& task : input_.tasks) {
      std::vector<eval::Prompt> prompts;
      for (const eval::EvalQuery& query : task.queries) {
        prompts.push_back(query.prompt);
      }
      auto features = experiment::share_features(experiment::answering_of(*workspace_, config_),
                                                 classifier->map(), prompts, everyone);
      for (std::size_t i = 0; i < task.queries.size(); ++i) {
        task.queries[i].features = std::move(features[i]);
      }
    }
  }

  // The experts that a router lets answer as one, and the gates that mix them.
  void prepare_ensembles() {
    std::set<std::vector<int>> sets;
    for (const method::Router* router : routers()) {
      for (std::vector<int>& members : router->ensembles(experts_.chain.size())) {
        sets.insert(std::move(members));
      }
    }
    if (sets.empty()) {
      return;
    }
    experiment::GateJob job{*folder_, config_, *method_, *workspace_, experts_, /*may_write=*/true};
    std::int64_t num_slots = 0;
    job.before_slot = [&](const std::string& task, std::int64_t step) {
      heartbeat_.set_place("gates", task, step, num_slots++ == 0);
      return work::stop_requested();
    };
    const experiment::LearntGates learnt = experiment::make_gates(job, world_.everyone());
    input_.ensembles = experiment::make_ensembles(
        experts_, learnt, std::vector<std::vector<int>>(sets.begin(), sets.end()),
        config_.method.top_k);
    gates_text_ = fmt::format(" {} {}", base::join(learnt.digests, " "), config_.method.top_k);
  }

  std::vector<method::Router*> routers() const {
    std::vector<method::Router*> all{router_.get()};
    for (const auto& router : more_routers_) {
      all.push_back(router.get());
    }
    return all;
  }

  void say_start() const {
    std::size_t num_queries = 0;
    for (const eval::EvalTask& task : input_.tasks) {
      num_queries += task.queries.size();
    }
    base::log_info(
        "eval",
        fmt::format(
            "{} queries of {} tasks in {} chunks, {} experts, base {}; {} ranks, {} threads each",
            num_queries, input_.tasks.size(), chunks_.size(), experts_.chain.size(),
            experiment::describe_base(config_, *workspace_), world_.size(), num_threads_));
    const std::string unlike = experiment::describe_unlike_ranks(ranks_);
    if (!unlike.empty()) {
      base::log_warning("eval", unlike);
    }
  }

  // Rank 0 looks which chunks an earlier call left; all get the list.
  std::vector<std::size_t> chunks_to_do() {
    return work::from_leader(world_, [this] {
      std::vector<std::size_t> todo;
      const std::vector<bool> done = partial_->finished(chunks_.size());
      for (std::size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
        if (!done[chunk]) {
          todo.push_back(chunk);
        }
      }
      if (todo.size() < chunks_.size()) {
        base::log_info("eval", fmt::format("{} of {} chunks are there from an earlier call",
                                           chunks_.size() - todo.size(), chunks_.size()));
      }
      return todo;
    });
  }

  // Every rank is a group of its own, but for one that only coordinates.
  work::WorkOutcome compute() {
    todo_ = chunks_to_do();
    const bool is_dedicated = config_.cluster.coordinator == "dedicated" && world_.size() > 1;
    work::WorkRequest request;
    for (int rank = is_dedicated ? 1 : 0; rank < world_.size(); ++rank) {
      request.groups.push_back({rank});
    }
    for (const std::size_t chunk : todo_) {
      request.items.push_back({fmt::format("chunk {}", chunk), chunks_[chunk].cost, 1, {}});
    }
    request.run_item = [&](int item, int, comm::Communicator&, work::ItemContext& context) {
      return evaluate_item(todo_[static_cast<std::size_t>(item)], context);
    };
    for (const std::size_t chunk : todo_) {
      num_replies_to_do_ += chunks_[chunk].num_queries();
    }
    if (leads()) {
      board_.emplace(std::vector<std::string>{"queries"}, queries_of(num_replies_to_do_));
    }
    timings_.assign(request.groups.size(), {});
    request.on_event = [this](const coordinator::Event& event) { note(event); };
    const std::unique_ptr<comm::Communicator> group = world_.split(request.groups);
    const int index = work::group_index_of(request.groups, world_.rank());
    work::WorkOutcome outcome =
        work::run_work(world_, group.get(), index, request, session_.stop_watcher(), heartbeat_);
    if (group) {
      group->close();
    }
    return outcome;
  }

  work::ItemResult evaluate_item(std::size_t chunk, work::ItemContext& context) {
    // The first chunk of a rank may be slow (step 0 of the watchdog), the others are not.
    heartbeat_.set_place("evaluate", fmt::format("chunk {}", chunk), num_mine_, num_mine_ == 0);
    ++num_mine_;
    work::ItemResult result;
    try {
      const eval::ChunkResult made =
          eval::evaluate_chunk(experiment::answering_of(*workspace_, config_), input_,
                               chunks_[chunk], [&context] { return context.should_stop(); });
      partial_->save(chunk, made);
      result.payload = base::to_bytes(made.timings);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kStopped) {
        throw;
      }
      result.stopped = true;
    }
    return result;
  }

  // A query is done when all experts and the base have read it: on the way, their replies are
  // counted.
  std::int64_t queries_of(std::size_t num_replies) const {
    return static_cast<std::int64_t>(num_replies / (input_.num_voices() + 1));
  }

  // On rank 0 in the coordinator's thread.
  void note(const coordinator::Event& event) {
    if (const auto* finished = std::get_if<coordinator::ItemFinished>(&event)) {
      timings_[static_cast<std::size_t>(finished->group)] +=
          base::from_bytes<eval::RankTimings>(finished->payload, "a finished chunk");
      num_replies_done_ += chunks_[todo_[static_cast<std::size_t>(finished->item)]].num_queries();
      board_->show_count(queries_of(num_replies_done_), queries_of(num_replies_to_do_));
    } else if (const auto* failed = std::get_if<coordinator::ItemFailed>(&event)) {
      board_->clear();
      base::log_warning(
          "eval", fmt::format("attempt {} of a chunk on rank {} failed{}: {}", failed->attempt,
                              failed->group, failed->will_retry ? ", it will be tried again" : "",
                              failed->text));
    }
  }

  [[noreturn]] void fail_with(const work::WorkOutcome& outcome) const {
    throw work::AgreedError(base::Error(
        outcome.failures.front().kind,
        fmt::format("{} chunks of the evaluation are missing", outcome.missing.size()),
        {.where = command_.run.string(),
         .found = outcome.failures.front().text,
         .fix = "mend the cause and run the same command again: finished chunks are kept"}));
  }

  int stop(std::size_t num_missing) {
    const int code = base::exit_code(base::ErrorKind::kStopped);
    if (leads()) {
      board_->clear();
      base::log_warning(
          "eval",
          fmt::format(
              "asked to stop: {} of {} chunks are done and kept; run the same command again",
              chunks_.size() - num_missing, chunks_.size()));
      session_.end("stopped", code,
                   "asked to stop; finished chunks are kept, run the same command again to go on");
    }
    return code;
  }

  void write() {
    board_->clear();
    std::vector<eval::ChunkResult> parts;
    for (std::size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
      parts.push_back(partial_->load(chunk));
    }
    const std::vector<eval::QueryRecord> records = eval::assemble(input_, std::move(parts));
    const eval::EvaluationResult result = eval::summarise(input_, records, config_.eval.metric);
    const std::filesystem::path folder = folder_->paths().eval_folder();
    base::write_file_atomically(folder / "predictions.jsonl",
                                eval::predictions_jsonl(input_, result));
    base::write_file_atomically(folder / "matrix.csv", result.matrix.to_csv());
    base::write_file_atomically(
        folder / "timings.json",
        eval::timings_json(
            {timings_, num_threads_, queries_of(num_replies_done_),
             static_cast<std::int64_t>(records.size()) - queries_of(num_replies_done_)}));
    base::write_file_atomically(
        folder / "results.json",
        eval::results_json(result, {config_.method.method, config_.train.seed,
                                    experiment::describe_base(config_, *workspace_),
                                    config::evaluation_settings(config_)}));
    std::vector<int> everyone(ranks_.size());
    std::iota(everyone.begin(), everyone.end(), 0);
    const run::MadeBy made = experiment::made_by_ranks(ranks_, everyone);
    for (const char* name : {run::kPredictionsFile, "eval/matrix.csv", run::kResultsFile}) {
      folder_->record_file(name, "", "", made);
    }
    partial_->remove();
    if (exports()) {
      export_predictions(*folder_, config_, command_.export_predictions);
    }
    std::cout << eval::matrix_table(result) << '\n'
              << (result.has_routing() ? eval::routing_table(result) + '\n' : std::string())
              << (result.more.empty() ? std::string() : eval::router_table(result) + '\n')
              << eval::score_table(result) << "\nfiles: " << folder.string() << '\n'
              << std::flush;
    session_.end("done", 0);
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  work::RunSession session_;
  work::Heartbeat heartbeat_;
  config::Config config_;
  int num_threads_ = 1;
  experiment::FaultInjection faults_;
  std::vector<experiment::RankFacts> ranks_;  // by world rank
  std::optional<run::RunFolder> folder_;
  std::optional<experiment::Workspace> workspace_;
  experiment::LoadedExperts experts_;
  std::unique_ptr<method::Method> method_;
  std::unique_ptr<method::Router> router_;
  std::vector<std::unique_ptr<method::Router>> more_routers_;
  eval::EvaluationInput input_;
  std::string gates_text_;  // what the ensembles depend on
  std::vector<eval::EvaluationChunk> chunks_;
  std::optional<experiment::PartialEvaluation> partial_;
  std::optional<ProgressBoard> board_;      // rank 0
  std::vector<std::size_t> todo_;           // the chunks that this call computes
  std::vector<eval::RankTimings> timings_;  // rank 0, by worker
  std::size_t num_replies_to_do_ = 0;       // by this call: queries x their answerers
  std::size_t num_replies_done_ = 0;        // rank 0
  std::int64_t num_mine_ = 0;               // chunks begun by this rank
};

}  // namespace

int run_eval(const config::Command& command, comm::ProcessWorld& world) {
  if (!command.question_folders.empty()) {
    return run_questions(command, world);
  }
  return EvalRun(command, world).run();
}

}  // namespace baton::app
