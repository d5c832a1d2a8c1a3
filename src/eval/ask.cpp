#include "baton/eval/ask.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "batches.hpp"
#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "decode_queue.hpp"

namespace baton::eval {
namespace {

/// All questions of one call.
class Asking {
 public:
  Asking(const Answering& answering,
         std::span<const ChainExpert> experts,
         const method::Router& router,
         std::span<const Question> questions,
         std::span<const Ensemble> ensembles)
      : answering_(answering),
        experts_(experts),
        ensembles_(ensembles),
        panel_(panel_of(experts)),
        router_(router),
        questions_(questions),
        states_(questions.size()) {}

  std::vector<AskResult> run() {
    for (std::size_t i = 0; i < questions_.size(); ++i) {
      if (const std::optional<int> answerer = consult(i)) {
        unread_[*answerer].push_back(i);
      }
    }
    while (!waiting_.empty()) {
      // Newest first; who waits for it was read by nobody else meanwhile.
      auto node = waiting_.extract(waiting_.begin());
      ask_expert(node.key(), node.mapped());
    }
    for (const auto& [answerer, rows] : unread_) {
      answer_unread(answerer, rows);
    }
    return collect();
  }

 private:
  struct State {
    std::vector<method::Asked> asked;
    std::vector<int> to_ask;  // the next one last
    int answerer = method::kBase;
    Answer answer;
  };

  const ChainExpert* expert_at(int answerer) const {
    return voice_at(answerer, experts_, ensembles_);
  }

  // Puts the question into the line of whom the router wants to hear, or returns who answers it.
  std::optional<int> consult(std::size_t question) {
    State& state = states_[question];
    if (state.to_ask.empty()) {
      method::Decision decision = router_.decide({.id = questions_[question].name,
                                                  .true_task = questions_[question].true_task,
                                                  .features = questions_[question].features},
                                                 {panel_, state.asked});
      if (decision.ask.empty()) {
        state.answerer = answerer_of(decision.answerers, experts_.size(), ensembles_);
        return state.answerer;
      }
      state.to_ask.assign(decision.ask.rbegin(), decision.ask.rend());
    }
    waiting_[state.to_ask.back()].push_back(question);
    state.to_ask.pop_back();
    return std::nullopt;
  }

  DecodeQueue queue_of(const Voice& voice) {
    return {voice, answering_.batch_size, [this](std::size_t question, Answer answer) {
              states_[question].answer = std::move(answer);
            }};
  }

  // Questions of similar length, so that a batch's cache holds little more than its tokens.
  std::vector<std::vector<std::size_t>> batches_of(
      const std::vector<std::size_t>& questions) const {
    std::vector<std::int64_t> lengths;
    for (const std::size_t question : questions) {
      lengths.push_back(static_cast<std::int64_t>(questions_[question].prompt.size()));
    }
    std::vector<std::vector<std::size_t>> batches =
        batches_by_length(lengths, answering_.batch_size);
    for (std::vector<std::size_t>& batch : batches) {
      for (std::size_t& row : batch) {
        row = questions[row];
      }
    }
    return batches;
  }

  Prefill read(const Voice& voice, const std::vector<std::size_t>& batch) const {
    std::vector<Prompt> prompts;
    for (const std::size_t question : batch) {
      prompts.push_back(questions_[question].prompt);
    }
    return voice.read(prompts);
  }

  void ask_expert(int expert, const std::vector<std::size_t>& questions) {
    const Voice voice(answering_, expert_at(expert));
    DecodeQueue queue = queue_of(voice);
    for (const std::vector<std::size_t>& batch : batches_of(questions)) {
      Prefill rows = read(voice, batch);
      const std::vector<double> margins =
          voice.margins(rows, [&](std::size_t row) { return questions_[batch[row]].name; });
      std::vector<std::int64_t> kept;
      std::vector<std::size_t> kept_questions;
      for (std::size_t row = 0; row < batch.size(); ++row) {
        states_[batch[row]].asked.push_back({.expert = expert, .margin = margins[row]});
        const std::optional<int> answerer = consult(batch[row]);
        if (answerer == expert) {
          kept.push_back(static_cast<std::int64_t>(row));
          kept_questions.push_back(batch[row]);
        } else if (answerer) {
          unread_[*answerer].push_back(batch[row]);
        }
      }
      add_chosen(queue, std::move(rows), kept, std::move(kept_questions));
    }
    queue.finish();
  }

  // Their answerer was not the last one asked: it reads them now.
  void answer_unread(int answerer, const std::vector<std::size_t>& questions) {
    const Voice voice(answering_, expert_at(answerer));
    DecodeQueue queue = queue_of(voice);
    for (const std::vector<std::size_t>& batch : batches_of(questions)) {
      queue.add(read(voice, batch), batch);
    }
    queue.finish();
  }

  std::vector<AskResult> collect() {
    std::vector<AskResult> results;
    for (std::size_t i = 0; i < questions_.size(); ++i) {
      State& state = states_[i];
      AskResult& result = results.emplace_back();
      result.prompt = questions_[i].text;
      result.answer = std::move(state.answer.text);
      result.route = state.answerer == method::kBase ? "base" : "expert";
      const auto place = static_cast<std::size_t>(state.answerer);
      if (state.answerer != method::kBase && place < experts_.size()) {
        result.expert = experts_[place].name;
      } else if (state.answerer != method::kBase) {
        for (const int member : ensembles_[place - experts_.size()].members) {
          result.experts.push_back(expert_at(member)->name);
        }
      }
      for (const method::Asked& asked : state.asked) {
        result.asked.push_back({expert_at(asked.expert)->name, asked.margin});
      }
      result.prompt_tokens = static_cast<std::int64_t>(questions_[i].prompt.size());
      result.new_tokens = state.answer.new_tokens;
    }
    return results;
  }

  const Answering& answering_;
  std::span<const ChainExpert> experts_;
  std::span<const Ensemble> ensembles_;
  std::vector<method::PanelExpert> panel_;
  const method::Router& router_;
  std::span<const Question> questions_;
  std::vector<State> states_;                                        // by question
  std::map<int, std::vector<std::size_t>, std::greater<>> waiting_;  // by expert to be asked
  std::map<int, std::vector<std::size_t>> unread_;                   // by who answers
};

}  // namespace

std::vector<AskResult> ask(const Answering& answering,
                           std::span<const ChainExpert> experts,
                           const method::Router& router,
                           std::span<const Question> questions,
                           std::span<const Ensemble> ensembles) {
  for (const Question& question : questions) {
    if (question.prompt.empty()) {
      throw base::Error(base::ErrorKind::kUsage, "the prompt holds no tokens",
                        {.where = question.name,
                         .expected = "some text",
                         .found = "nothing",
                         .fix = "give a prompt, as an argument or on standard input"});
    }
  }
  return Asking(answering, experts, router, questions, ensembles).run();
}

std::string ask_json(const AskResult& result) {
  base::OrderedJson json;
  json["prompt"] = result.prompt;
  json["answer"] = result.answer;
  json["route"] = result.route;
  if (result.expert.empty()) {
    json["expert"] = nullptr;
  } else {
    json["expert"] = result.expert;
  }
  if (!result.experts.empty()) {
    json["experts"] = result.experts;
  }
  json["asked"] = base::OrderedJson::array();
  for (const AskedExpert& asked : result.asked) {
    json["asked"].push_back({{"expert", asked.expert}, {"margin", asked.margin}});
  }
  json["prompt_tokens"] = result.prompt_tokens;
  json["new_tokens"] = result.new_tokens;
  return json.dump();
}

}  // namespace baton::eval
