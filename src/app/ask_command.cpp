// `baton ask`: one prompt (or one a line) through the chain of a run, or to a base model alone.

#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <optional>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/device/device.hpp"
#include "baton/eval/ask.hpp"
#include "baton/experiment/open_run.hpp"
#include "commands.hpp"

namespace baton::app {

namespace {

class Asker {
 public:
  explicit Asker(const config::Command& command) : as_json_(command.as_json) {
    if (command.run.empty()) {
      config_ = config::config_for_model(command.model, command.overrides);
    } else {
      folder_.emplace(run::RunFolder::load(command.run));
      config_ = experiment::config_of_run(*folder_, command.overrides, config::Purpose::kAsk);
    }
    experiment::set_threads(config_.cluster, 0, 1);
    workspace_ = experiment::open_workspace(config_, device::choose_device(0, 1));
    if (folder_) {
      experts_ = experiment::load_experts(*folder_, config_, workspace_);
    }
    router_ = method::make_router("sequential");
  }

  void answer(const std::string& text) {
    if (const auto position = base::find_invalid_utf8(text)) {
      throw base::Error(base::ErrorKind::kData, "the prompt is not UTF-8",
                        {.where = "the prompt",
                         .expected = "text in UTF-8",
                         .found = fmt::format("an invalid byte at offset {}", *position),
                         .fix = "convert the prompt to UTF-8"});
    }
    const data::RowEncoder encoder(*workspace_.tokenizer, *workspace_.prompt_template,
                                   workspace_.indicators, config_.data.cutoff_len);
    data::EncodingCounts counts;
    const data::Example example{"prompt", {{"user", text}}, {}, "prompt"};
    const eval::Question question{text, encoder.encode_prompt(example, counts), ""};
    if (counts.num_rows_cut > 0) {
      std::cerr << fmt::format("warning: the prompt was cut by {} tokens to data.cutoff_len = {}\n",
                               counts.num_tokens_cut, config_.data.cutoff_len);
    }
    const eval::AskResult result = eval::ask(experiment::answering_of(workspace_, config_),
                                             experts_.chain, *router_, question);
    if (as_json_) {
      std::cout << eval::ask_json(result) << '\n' << std::flush;
    } else {
      print(result);
    }
  }

 private:
  static void print(const eval::AskResult& result) {
    std::cout << result.answer << '\n' << std::flush;
    std::string asked;
    for (const eval::AskedExpert& expert : result.asked) {
      asked += fmt::format("{}{} {:+.2f}", asked.empty() ? "" : ", ", expert.expert, expert.margin);
    }
    std::cerr << fmt::format(
        "answered by {}{}; {} prompt tokens, {} new\n",
        result.route == "expert" ? "expert " + result.expert : std::string("the base model"),
        asked.empty() ? "" : " (margins, newest first: " + asked + ")", result.prompt_tokens,
        result.new_tokens);
  }

  bool as_json_;
  std::optional<run::RunFolder> folder_;
  config::Config config_;
  experiment::Workspace workspace_;
  experiment::LoadedExperts experts_;
  std::unique_ptr<method::Router> router_;
};

void answer_lines(Asker& asker) {
  std::string line;
  for (std::int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (base::trim(line).empty()) {
      continue;
    }
    const std::string origin = fmt::format("standard input line {}", number);
    const base::Json json = base::parse_json(line, base::ErrorKind::kData, origin);
    if (!json.is_object() || !json.contains("prompt") || !json["prompt"].is_string()) {
      throw base::Error(base::ErrorKind::kData, "a line has no prompt",
                        {.where = origin,
                         .expected = "a JSON object with a text \"prompt\"",
                         .found = json.is_object() ? "no such text" : "another JSON value",
                         .fix = "write {\"prompt\": \"...\"} on each line"});
    }
    asker.answer(json["prompt"].get<std::string>());
  }
}

}  // namespace

int run_ask(const config::Command& command) {
  Asker asker(command);
  if (command.reads_jsonl) {
    answer_lines(asker);
  } else if (command.prompt) {
    asker.answer(*command.prompt);
  } else {
    std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    // The newline that ends a shell's echo is not part of the question.
    if (!text.empty() && text.back() == '\n') {
      text.pop_back();
    }
    asker.answer(text);
  }
  return 0;
}

}  // namespace baton::app
