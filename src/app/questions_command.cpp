#include "questions_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <optional>
#include <sstream>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/position_limit.hpp"
#include "baton/device/host.hpp"
#include "baton/eval/choices.hpp"
#include "baton/eval/margins.hpp"
#include "baton/experiment/analytic_fit.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/work/agreed.hpp"
#include "baton/work/run_session.hpp"
#include "baton/work/watchdog.hpp"
#include "baton/work/work_loop.hpp"

namespace baton::app {

namespace {

/// The questions of one data folder. A row without choices, or one whose right answer is none of
/// them: kData.
class QuestionReader {
 public:
  QuestionReader(const config::Config& config, const experiment::Workspace& workspace)
      : config_(config),
        workspace_(workspace),
        encoder_(*workspace.tokenizer, *workspace.prompt_template, config.data.cutoff_len) {}

  std::vector<eval::QuestionSet> read(const std::filesystem::path& folder) {
    const data::Dataset dataset(folder);
    std::vector<eval::QuestionSet> sets;
    for (const std::string& name : dataset.task_names()) {
      sets.push_back({name, {}});
      for (const data::Example& row : dataset.read_eval(name, config_.data.max_eval_samples)) {
        sets.back().questions.push_back(to_question(row));
      }
    }
    return sets;
  }

 private:
  eval::ChoiceQuestion to_question(const data::Example& row) {
    if (row.options.size() < 2) {
      throw base::Error(base::ErrorKind::kData, "a question has no choices",
                        {.where = row.origin,
                         .expected = "two choices or more",
                         .found = fmt::format("{}", row.options.size()),
                         .fix = "use rows with choices: layout mmlu, bigbench with target_scores, "
                                "or alpaca with a column of options"});
    }
    eval::ChoiceQuestion question;
    question.id = row.id;
    question.prompt = encoder_.encode_prompt(row, counts_);
    std::size_t longest = 0;
    for (const std::string& option : row.options) {
      question.choices.push_back(workspace_.tokenizer->encode(option));
      question.texts.push_back(option);
      question.is_right.push_back(std::find(row.references.begin(), row.references.end(), option) !=
                                  row.references.end());
      longest = std::max(longest, question.choices.back().size());
      if (question.choices.back().empty()) {
        throw base::Error(base::ErrorKind::kData, "a choice is empty",
                          {.where = row.origin,
                           .expected = "text",
                           .found = "none",
                           .fix = "correct or remove this row"});
      }
    }
    if (std::find(question.is_right.begin(), question.is_right.end(), true) ==
        question.is_right.end()) {
      throw base::Error(base::ErrorKind::kData, "the right answer is none of the choices",
                        {.where = row.origin,
                         .expected = "one of the choices",
                         .found = "another text",
                         .fix = "correct or remove this row"});
    }
    data::check_positions(static_cast<std::int64_t>(question.prompt.size()),
                          1 + static_cast<std::int64_t>(longest),
                          workspace_.model->config().max_position_embeddings, row.origin);
    return question;
  }

  const config::Config& config_;
  const experiment::Workspace& workspace_;
  data::RowEncoder encoder_;
  data::EncodingCounts counts_;
};

class QuestionsRun {
 public:
  QuestionsRun(const config::Command& command, comm::ProcessWorld& world)
      : command_(command), world_(world), session_(world, "eval") {}

  int run() {
    world_.check_same_build(base::build_identity(config::version()));
    open();
    work::Watchdog watchdog(
        world_, heartbeat_,
        {.timeout_seconds = static_cast<double>(config_.cluster.timeout_seconds),
         .run = command_.run,
         .command = "eval"});
    const int code = session_.guard([this] { return ask(); });
    watchdog.close();
    return code;
  }

 private:
  bool leads() const { return world_.rank() == 0; }

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
      method_ = method::make_method(config_);
      router_ = method_->make_router();
      refuse_router();
      session_.begin(command_.run, std::move(lock));
    });
  }

  void refuse_router() const {
    if (router_->needs_true_task()) {
      throw base::Error(base::ErrorKind::kUsage, "nobody is the true expert of these questions",
                        {.where = "method.router",
                         .expected = "a router that decides by the query",
                         .found = "\"" + router_->name() + "\"",
                         .fix = "say --set method.router=sequential"});
    }
    if (!router_->ensembles(2).empty()) {
      throw base::Error(base::ErrorKind::kUsage, "this router lets several experts answer as one",
                        {.where = "method.router",
                         .expected = "a router that gives a question to one expert or the base",
                         .found = "\"" + router_->name() + "\"",
                         .fix = "say --set method.router=sequential"});
    }
  }

  int ask() {
    load();
    std::vector<std::vector<eval::ChoiceReply>> replies;
    for (const eval::QuestionSet& set : sets_) {
      replies.push_back(ask_set(set));
    }
    work::together(world_, [&] {
      if (leads()) {
        write(replies);
      }
    });
    return 0;
  }

  void load() {
    const work::Heartbeat::Section section(heartbeat_, "load");
    const int num_threads =
        experiment::set_threads(config_.cluster, world_.local_rank(), world_.local_size());
    device::Device device;
    work::together(
        world_, [&] { device = device::choose_device(world_.local_rank(), world_.local_size()); });
    ranks_ = experiment::gather_rank_facts(
        world_, experiment::facts_of_this_rank(
                    device, experiment::FaultInjection::from_environment(world_.rank())));
    work::together(world_, [&] {
      workspace_.emplace(experiment::open_workspace(config_, device));
      experts_ = experiment::load_experts(*folder_, config_, *method_, *workspace_);
      QuestionReader reader(config_, *workspace_);
      for (const std::filesystem::path& folder : command_.question_folders) {
        for (eval::QuestionSet& set : reader.read(folder)) {
          sets_.push_back(std::move(set));
        }
      }
    });
    prepare_router();
    if (leads()) {
      base::log_info("eval", fmt::format("{} sets of questions, {} experts, base {}; {} ranks, {} "
                                         "threads each",
                                         sets_.size(), experts_.chain.size(),
                                         experiment::describe_base(config_, *workspace_),
                                         world_.size(), num_threads));
    }
  }

  void prepare_router() {
    if (!router_->needs_features()) {
      return;
    }
    comm::Communicator& everyone = world_.everyone();
    const auto classifier = experiment::make_classifier(
        {*folder_, config_, *workspace_, experts_, /*may_write=*/true}, everyone);
    router_->take(classifier);
    for (eval::QuestionSet& set : sets_) {
      auto features = experiment::share_features(experiment::answering_of(*workspace_, config_),
                                                 classifier->map(), prompts_of(set), everyone);
      for (std::size_t i = 0; i < set.questions.size(); ++i) {
        set.questions[i].features = std::move(features[i]);
      }
    }
  }

  static std::vector<eval::Prompt> prompts_of(const eval::QuestionSet& set) {
    std::vector<eval::Prompt> prompts;
    for (const eval::ChoiceQuestion& question : set.questions) {
      prompts.push_back(question.prompt);
    }
    return prompts;
  }

  // Each rank takes every n-th batch. What is read together depends on the questions alone, so the
  // bits do not depend on the number of ranks.
  std::vector<eval::ChoiceReply> ask_set(const eval::QuestionSet& set) {
    const auto batches = eval::margin_batches(prompts_of(set), config_.eval.eval_batch_size);
    const auto num_ranks = static_cast<std::size_t>(world_.size());
    std::vector<eval::ChoiceReply> replies(set.questions.size());
    for (std::size_t first = 0; first < batches.size(); first += num_ranks) {
      session_.stop_point();
      heartbeat_.set_place("ask questions", set.name, static_cast<std::int64_t>(first), first == 0);
      const std::size_t mine = first + static_cast<std::size_t>(world_.rank());
      std::vector<eval::ChoiceReply> made;
      work::together(world_, [&] {
        if (mine < batches.size()) {
          made = ask_batch(set, batches[mine]);
        }
      });
      auto gathered = comm::from_all(world_.everyone(), made);
      for (std::size_t rank = 0; rank < gathered.size() && first + rank < batches.size(); ++rank) {
        for (std::size_t i = 0; i < gathered[rank].size(); ++i) {
          replies[batches[first + rank][i]] = std::move(gathered[rank][i]);
        }
      }
    }
    return replies;
  }

  std::vector<eval::ChoiceReply> ask_batch(const eval::QuestionSet& set,
                                           const std::vector<std::size_t>& batch) const {
    std::vector<const eval::ChoiceQuestion*> questions;
    for (const std::size_t i : batch) {
      questions.push_back(&set.questions[i]);
    }
    return eval::answer_choices(experiment::answering_of(*workspace_, config_), experts_.chain,
                                *router_, questions);
  }

  bool all_have_margins() const {
    return !experts_.chain.empty() && std::all_of(experts_.chain.begin(), experts_.chain.end(),
                                                  [](const eval::ChainExpert& expert) {
                                                    return expert.indicators.has_value();
                                                  });
  }

  // The largest surplus of every own query that was evaluated, from the evaluation's own file.
  std::vector<double> own_surpluses() const {
    const std::filesystem::path file = folder_->path_of(run::kPredictionsFile);
    std::vector<double> surpluses;
    if (!folder_->has(run::kPredictionsFile)) {
      base::log_warning("eval",
                        "the run's own queries are not evaluated yet, so no curve sets "
                        "them against these questions: run `baton eval` without "
                        "--questions first");
      return surpluses;
    }
    folder_->verify(run::kPredictionsFile);
    std::istringstream lines(base::read_file(file, base::ErrorKind::kModel));
    for (std::string line; std::getline(lines, line);) {
      const base::Json query = base::parse_json(line, base::ErrorKind::kModel, file.string());
      std::vector<double> margins;
      for (const eval::ChainExpert& expert : experts_.chain) {
        margins.push_back(query.at("margins").at(expert.name).get<double>());
      }
      surpluses.push_back(eval::largest_surplus(margins, experts_.chain));
    }
    return surpluses;
  }

  std::optional<eval::ForeignCurve> curve_of(
      const std::vector<std::vector<eval::ChoiceReply>>& replies) const {
    if (!all_have_margins()) {
      return std::nullopt;
    }
    const std::vector<double> own = own_surpluses();
    std::vector<double> foreign;
    for (const std::vector<eval::ChoiceReply>& set : replies) {
      for (const eval::ChoiceReply& reply : set) {
        foreign.push_back(eval::largest_surplus(reply.margins, experts_.chain));
      }
    }
    return own.empty() ? std::nullopt : std::optional(eval::foreign_curve(own, foreign));
  }

  void write(const std::vector<std::vector<eval::ChoiceReply>>& replies) {
    eval::ChoiceFacts facts{config_.method.method,
                            router_->name(),
                            experiment::describe_base(config_, *workspace_),
                            {}};
    for (const eval::ChainExpert& expert : experts_.chain) {
      facts.experts.push_back(expert.name);
    }
    std::vector<eval::SetScores> scores;
    std::string lines;
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      scores.push_back(eval::score_set(sets_[i], replies[i], experts_.chain.size()));
      lines += eval::choices_jsonl(facts, sets_[i], replies[i]);
    }
    const std::optional<eval::ForeignCurve> curve = curve_of(replies);
    const eval::ForeignCurve* shown = curve ? &*curve : nullptr;
    const std::filesystem::path folder = folder_->paths().eval_folder();
    base::make_directories(folder);
    base::write_file_atomically(folder / "questions.jsonl", lines);
    base::write_file_atomically(folder / "questions.json",
                                eval::choices_json(facts, scores, shown));
    std::vector<int> everyone(ranks_.size());
    std::iota(everyone.begin(), everyone.end(), 0);
    for (const char* name : {"eval/questions.jsonl", "eval/questions.json"}) {
      folder_->record_file(name, "", "", experiment::made_by_ranks(ranks_, everyone));
    }
    std::cout << eval::choices_table(scores, shown)
              << "\nfiles: " << (folder / "questions.json").string() << '\n'
              << std::flush;
    session_.end("done", 0);
  }

  const config::Command& command_;
  comm::ProcessWorld& world_;
  work::RunSession session_;
  work::Heartbeat heartbeat_;
  config::Config config_;
  std::vector<experiment::RankFacts> ranks_;  // by world rank
  std::optional<run::RunFolder> folder_;
  std::optional<experiment::Workspace> workspace_;
  experiment::LoadedExperts experts_;
  std::unique_ptr<method::Method> method_;
  std::unique_ptr<method::Router> router_;
  std::vector<eval::QuestionSet> sets_;
};

}  // namespace

int run_questions(const config::Command& command, comm::ProcessWorld& world) {
  return QuestionsRun(command, world).run();
}

}  // namespace baton::app
