#pragma once
// One prompt through the chain: who answers, what, and what every asked expert said. Used by `baton
// ask`.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/eval/expert_panel.hpp"

namespace baton::eval {

struct Question {
  std::string text;       // as the user gave it; only shown again
  Prompt prompt;          // its ids, template included
  std::string true_task;  // for the oracle router; empty when unknown
};

struct AskedExpert {
  std::string expert;
  double margin = 0;
};

struct AskResult {
  std::string prompt;
  std::string answer;
  std::string route;               // "expert" or "base"
  std::string expert;              // who answered; empty for the base
  std::vector<AskedExpert> asked;  // in the order asked
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;  // chosen, the end-of-answer token included, the indicator not
};

/// The model and what belongs to it.
struct Answering {
  const model::Decoder& model;
  const tokenizer::Tokenizer& tokenizer;
  DecodeOptions base_decoding;  // max_new_tokens and stop_ids; nothing forced or banned
};

/// Routes and answers. Without experts the base answers. A prompt of no tokens: kUsage.
AskResult ask(const Answering& answering,
              std::span<const ChainExpert> experts,
              const method::Router& router,
              const Question& question);

/// One line of JSON: prompt, answer, route, expert (a name or null), asked, prompt_tokens,
/// new_tokens.
std::string ask_json(const AskResult& result);

}  // namespace baton::eval
