#include "baton/eval/ask.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"

namespace baton::eval {

AskResult ask(const Answering& answering,
              std::span<const ChainExpert> experts,
              const method::Router& router,
              const Question& question) {
  if (question.prompt.empty()) {
    throw base::Error(base::ErrorKind::kUsage, "the prompt holds no tokens",
                      {.where = "prompt",
                       .expected = "some text",
                       .found = "nothing",
                       .fix = "give a prompt, as an argument or on standard input"});
  }
  // Room for the indicator as well.
  ModelPanel panel(answering.model, experts, question.prompt,
                   answering.base_decoding.max_new_tokens + 1);
  const method::Route route =
      router.route({.id = "prompt", .true_task = question.true_task}, panel);
  BATON_ASSERT(route.answerers.size() == 1, fmt::format("{} answerers", route.answerers.size()));
  const int answerer = route.answerers.front().expert;

  AskResult result;
  result.prompt = question.text;
  result.prompt_tokens = static_cast<std::int64_t>(question.prompt.size());
  for (const method::Asked& asked : route.asked) {
    result.asked.push_back({panel.name(asked.expert), asked.margin});
  }
  std::vector<Decoded> decoded;
  if (answerer == method::kBase) {
    result.route = "base";
    decoded =
        greedy_decode(answering.model, panel.take(method::kBase), nullptr, answering.base_decoding);
  } else {
    const ChainExpert& expert = experts[static_cast<std::size_t>(answerer)];
    result.route = "expert";
    result.expert = expert.name;
    const model::AdapterUses adapters(*expert.adapter);
    decoded = greedy_decode(answering.model, panel.take(answerer), &adapters,
                            expert_decoding(expert, answering.base_decoding));
  }
  result.answer = answer_text(answering.tokenizer, decoded.front().tokens);
  result.new_tokens = decoded.front().num_new_tokens;
  return result;
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
  json["asked"] = base::OrderedJson::array();
  for (const AskedExpert& asked : result.asked) {
    json["asked"].push_back({{"expert", asked.expert}, {"margin", asked.margin}});
  }
  json["prompt_tokens"] = result.prompt_tokens;
  json["new_tokens"] = result.new_tokens;
  return json.dump();
}

}  // namespace baton::eval
