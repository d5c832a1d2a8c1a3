// `baton ask`: one prompt, or many (one JSON object a line), through the chain of a run or to a base
// model alone.

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <iterator>
#include <optional>
#include <span>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/data/position_limit.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/device/device.hpp"
#include "baton/eval/ask.hpp"
#include "baton/experiment/analytic_fit.hpp"
#include "baton/experiment/gate_fit.hpp"
#include "baton/experiment/open_run.hpp"
#include "commands.hpp"
#include "line_reader.hpp"

namespace baton::app {

namespace {

using base::Error;
using base::ErrorKind;

// Prompts taken at a time with --jsonl: of these, each expert still decodes full batches when the
// chain shares them out.
constexpr std::size_t kBatchesAtATime = 8;

/// `kind`: what it is that nothing was asked.
void check_prompt(const std::string& text, const std::string& name, ErrorKind kind) {
  if (const auto position = base::find_invalid_utf8(text)) {
    throw Error(ErrorKind::kData, "the prompt is not UTF-8",
                {.where = name,
                 .expected = "text in UTF-8",
                 .found = fmt::format("an invalid byte at offset {}", *position),
                 .fix = "convert the prompt to UTF-8"});
  }
  if (const std::size_t position = text.find('\0'); position != std::string::npos) {
    throw Error(ErrorKind::kData, "the prompt holds a NUL character",
                {.where = name,
                 .expected = "text",
                 .found = fmt::format("U+0000 at offset {}", position),
                 .fix = "take it out; a prompt with one is most often no text at all"});
  }
  if (base::trim(text).empty()) {
    throw Error(kind, "the prompt is empty",
                {.where = name,
                 .expected = "some text",
                 .found = text.empty() ? "nothing" : "white space alone",
                 .fix = "give a prompt, as an argument or on standard input"});
  }
}

std::string answerer_text(const eval::AskResult& result) {
  if (result.route != "expert") {
    return "the base model";
  }
  return result.experts.empty() ? "expert " + result.expert
                                : "experts " + base::join(result.experts, ", ") + " together";
}

class Asker {
 public:
  explicit Asker(const config::Command& command) : as_json_(command.as_json) {
    if (command.run.empty()) {
      config_ = config::config_for_model(command.model, command.overrides);
    } else {
      folder_.emplace(run::RunFolder::load(command.run));
      config_ = experiment::config_of_run(*folder_, command.overrides, config::Purpose::kAsk);
    }
    const std::unique_ptr<method::Method> method = method::make_method(config_);
    router_ = method->make_router();
    if (router_->needs_true_task()) {
      throw Error(ErrorKind::kUsage, "this router needs to know a question's task",
                  {.where = "method.router",
                   .expected = "a router that goes by what the experts say",
                   .found = router_->name(),
                   .fix = "use it with `baton eval`, or ask with --set method.router=NAME"});
    }
    experiment::set_threads(config_.cluster, 0, 1);
    workspace_ = experiment::open_workspace(config_, device::choose_device(0, 1));
    if (folder_) {
      experts_ = experiment::load_experts(*folder_, config_, *method, workspace_);
      if (router_->needs_features()) {
        classifier_ =
            experiment::make_classifier({*folder_, config_, workspace_, experts_}, *alone_);
        router_->take(classifier_);
      }
      open_ensembles(*method);
    }
  }

  std::size_t prompts_at_a_time() const {
    return kBatchesAtATime * static_cast<std::size_t>(config_.eval.eval_batch_size);
  }

  /// A prompt that was checked; one that the model cannot take is kData.
  eval::Question question_of(const std::string& text, const std::string& name) const {
    const data::RowEncoder encoder(*workspace_.tokenizer, *workspace_.prompt_template,
                                   config_.data.cutoff_len);
    data::EncodingCounts counts;
    const data::Example example{"prompt", {{"user", text}}, {}, name};
    eval::Question question{
        .text = text, .prompt = encoder.encode_prompt(example, counts), .name = name};
    if (counts.num_rows_cut > 0) {
      base::log_warning("ask", fmt::format("{} was cut by {} tokens to data.cutoff_len = {}", name,
                                           counts.num_tokens_cut, config_.data.cutoff_len));
    }
    const std::int64_t num_indicators = experts_.chain.empty() ? 0 : 1;
    data::check_positions(static_cast<std::int64_t>(question.prompt.size()),
                          num_indicators + config_.data.max_new_tokens,
                          workspace_.model->config().max_position_embeddings, name);
    return question;
  }

  std::vector<eval::AskResult> ask(std::span<const eval::Question> questions) const {
    return eval::ask(experiment::answering_of(workspace_, config_), experts_.chain, *router_,
                     with_features(questions), ensembles_);
  }

  void print(const eval::AskResult& result) const {
    if (as_json_) {
      std::cout << eval::ask_json(result) << '\n';
      return;
    }
    std::cout << result.answer << '\n' << std::flush;
    std::string asked;
    for (const eval::AskedExpert& expert : result.asked) {
      asked += fmt::format("{}{} {:+.2f}", asked.empty() ? "" : ", ", expert.expert, expert.margin);
    }
    std::cerr << fmt::format("answered by {}; {} prompt tokens, {} new\n", answerer_text(result),
                             result.prompt_tokens, result.new_tokens);
    if (!asked.empty()) {
      std::cerr << "margins, newest first: " << asked << '\n';
    }
  }

  /// In the place of an answer, so that the n-th line of the output belongs to the n-th prompt.
  void print_refusal(const Line& line, const Error& error) const {
    base::log(base::LogLevel::kError, "ask", error.what());
    if (as_json_) {
      std::cout << base::OrderedJson{{"line", line.number}, {"error", error.summary()}}.dump()
                << '\n';
    }
  }

 private:
  // Those with all experts that are there: only they are asked for.
  void open_ensembles(const method::Method& method) {
    const std::vector<std::vector<int>> sets = router_->ensembles(experts_.chain.size());
    if (!sets.empty()) {
      const experiment::LearntGates learnt =
          experiment::make_gates({*folder_, config_, method, workspace_, experts_}, *alone_);
      ensembles_ = experiment::make_ensembles(experts_, learnt, std::span(sets).last(1),
                                              config_.method.top_k);
    }
  }

  std::vector<eval::Question> with_features(std::span<const eval::Question> questions) const {
    std::vector<eval::Question> all(questions.begin(), questions.end());
    if (classifier_ == nullptr || experts_.chain.empty()) {
      return all;
    }
    std::vector<eval::Prompt> prompts;
    for (const eval::Question& question : all) {
      prompts.push_back(question.prompt);
    }
    auto features = experiment::share_features(experiment::answering_of(workspace_, config_),
                                               classifier_->map(), prompts, *alone_);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].features = std::move(features[i]);
    }
    return all;
  }

  bool as_json_;
  std::unique_ptr<comm::Communicator> alone_ = comm::make_single_communicator();
  std::optional<run::RunFolder> folder_;
  config::Config config_;
  std::unique_ptr<method::Router> router_;
  std::shared_ptr<const method::FeatureClassifier> classifier_;  // for a router that needs one
  experiment::Workspace workspace_;
  experiment::LoadedExperts experts_;
  std::vector<eval::Ensemble> ensembles_;
};

std::string prompt_in(const Line& line, const std::string& name) {
  const base::Json json = base::parse_json(line.text, ErrorKind::kData, name);
  if (!json.is_object() || !json.contains("prompt") || !json["prompt"].is_string()) {
    throw Error(ErrorKind::kData, "a line has no prompt",
                {.where = name,
                 .expected = "a JSON object with a text \"prompt\"",
                 .found = json.is_object() ? "no such text" : "another JSON value",
                 .fix = "write {\"prompt\": \"...\"} on each line"});
  }
  auto text = json["prompt"].get<std::string>();
  check_prompt(text, name, ErrorKind::kData);
  return text;
}

/// The lines of one go, answered in their order; returns how many could not be asked.
std::size_t answer_together(const Asker& asker, const std::vector<Line>& lines) {
  std::vector<eval::Question> questions;
  std::vector<std::optional<Error>> errors(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string name = fmt::format("standard input line {}", lines[i].number);
    try {
      questions.push_back(asker.question_of(prompt_in(lines[i], name), name));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kData) {
        throw;
      }
      errors[i] = error;
    }
  }
  const std::vector<eval::AskResult> results = asker.ask(questions);
  auto result = results.begin();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (errors[i]) {
      asker.print_refusal(lines[i], *errors[i]);
    } else {
      asker.print(*result++);
    }
  }
  std::cout << std::flush;
  return lines.size() - results.size();
}

/// A line that cannot be asked does not keep the others from their answers; the exit code tells.
int answer_lines(const Asker& asker) {
  LineReader reader(STDIN_FILENO);
  std::size_t num_lines = 0;
  std::size_t num_bad = 0;
  for (std::vector<Line> lines = reader.next(asker.prompts_at_a_time()); !lines.empty();
       lines = reader.next(asker.prompts_at_a_time())) {
    num_lines += lines.size();
    num_bad += answer_together(asker, lines);
  }
  if (num_bad == 0) {
    return 0;
  }
  base::log(base::LogLevel::kError, "ask",
            fmt::format("{} of {} prompts could not be asked, each is named above; the others are "
                        "answered",
                        num_bad, num_lines));
  return base::exit_code(ErrorKind::kData);
}

std::string whole_input() {
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  // The newline that ends a shell's echo is not part of the question.
  if (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

}  // namespace

int run_ask(const config::Command& command) {
  if (command.reads_jsonl) {
    return answer_lines(Asker(command));
  }
  const Asker asker(command);
  const std::string name = command.prompt ? "the prompt" : "the prompt on standard input";
  const std::string text = command.prompt ? *command.prompt : whole_input();
  check_prompt(text, name, ErrorKind::kUsage);
  const eval::Question question = asker.question_of(text, name);
  asker.print(asker.ask(std::span(&question, 1)).front());
  return 0;
}

}  // namespace baton::app
