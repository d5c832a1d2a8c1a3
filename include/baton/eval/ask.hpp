#pragma once
// Questions through a chain: a router decides who is asked and who answers. Used by `baton ask`, one
// question or many at a time.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/eval/answering.hpp"

namespace baton::eval {

struct Question {
  std::string text;                   // as the user gave it; only shown again
  Prompt prompt;                      // its ids, template included
  std::string true_task = {};         // for a router that needs it; empty when unknown
  std::string name = "the prompt";    // what errors call it
  std::vector<double> features = {};  // for a router that needs them
};

struct AskedExpert {
  std::string expert;
  double margin = 0;
};

struct AskResult {
  std::string prompt;
  std::string answer;
  std::string route;               // "expert" or "base"
  std::string expert;              // who answered; empty for the base and for several
  std::vector<AskedExpert> asked;  // in the order asked
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;  // chosen, the end-of-answer token included, the indicator not
  std::vector<std::string> experts = {};  // of several that answered as one
};

/// Routes and answers, results in the order of the questions. Without experts the base answers.
/// `ensembles` are those of the router for these experts. A prompt of no tokens: kUsage.
///
/// Expert after expert, as the router wants: all that wait for it are read in batches of similar
/// length; those it answers are decoded from the cache they have, in full batches; what it passes on
/// leaves its cache at once. So the caches hold two batches at most, however many the questions and
/// the experts.
std::vector<AskResult> ask(const Answering& answering,
                           std::span<const ChainExpert> experts,
                           const method::Router& router,
                           std::span<const Question> questions,
                           std::span<const Ensemble> ensembles = {});

/// One line of JSON: prompt, answer, route, expert (a name or null), experts (only of several), asked,
/// prompt_tokens, new_tokens.
std::string ask_json(const AskResult& result);

}  // namespace baton::eval
