#pragma once
// Multiple choice by likelihood: which of a question's choices a model finds most likely as its
// answer, for the base and for the chain. The questions belong to no expert, so this says what training cost in
// general ability, and how many foreign queries a chain leaves to the base.
//
// A choice's score is log P(choice | prompt), summed over its tokens, without the end-of-answer
// token. Choices are encoded as answers are: apart from the prompt, without a space in front. An
// expert's choice begins after its `accept`, as its answers do.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/eval/answering.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::eval {

struct ChoiceQuestion {
  std::string id;
  Prompt prompt;
  std::vector<Prompt> choices;        // none empty
  std::vector<std::string> texts;     // of the choices
  std::vector<bool> is_right;         // by choice; one at least
  std::vector<double> features = {};  // for a router that needs them
};

struct QuestionSet {
  std::string name;
  std::vector<ChoiceQuestion> questions;
};

/// What base and chain made of one question.
struct ChoiceReply {
  std::int64_t answerer = method::kBase;  // expert index or kBase: the last stage's route
  std::vector<double> margins;            // [E], by expert; empty where experts have no indicators
  std::vector<double> base;               // [C] log likelihoods
  std::vector<double> chain;              // [C]; the base's where it answers

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("answerer", self.answerer);
    visit("margins", self.margins);
    visit("base", self.base);
    visit("chain", self.chain);
  }
};

/// The questions of one batch, read together.
std::vector<ChoiceReply> answer_choices(const Answering& answering,
                                        std::span<const ChainExpert> experts,
                                        const method::Router& router,
                                        std::span<const ChoiceQuestion* const> batch);

/// Shares, 0-100.
struct ChoiceAccuracy {
  double accuracy = 0;    // the likeliest choice is right; the first among equals
  double normalised = 0;  // the same with likelihoods divided by the bytes of a choice's text
};

struct SetScores {
  std::string name;
  std::int64_t num_questions = 0;
  ChoiceAccuracy base;
  ChoiceAccuracy chain;
  double difference_error = 0;  // standard error of chain - base in accuracy, paired by question
  double left_to_base = 0;      // share of the questions that no expert answers, 0-1
  std::vector<std::int64_t> answered_by;  // [E + 1], base last
};

/// How well margins tell the run's own queries from the questions. A query's number is the largest
/// margin above an expert's own threshold, over all experts; a chain accepts it where that is above 0.
struct ForeignCurve {
  std::vector<expert::RocPoint> points;  // true: own queries accepted; false: questions accepted
  double area = 0;                       // under the curve, 0-1
  std::int64_t num_own = 0;
  std::int64_t num_foreign = 0;
};

SetScores score_set(const QuestionSet& set,
                    std::span<const ChoiceReply> replies,
                    std::size_t num_experts);

/// max_e margin_e - threshold_e; margins by expert, at least one.
double largest_surplus(std::span<const double> margins, std::span<const ChainExpert> experts);

ForeignCurve foreign_curve(std::span<const double> own, std::span<const double> foreign);

/// What the files say beside the scores.
struct ChoiceFacts {
  std::string method;
  std::string router;
  std::string base_description;
  std::vector<std::string> experts;
};

/// questions.json. `curve` null: no margins, or no own queries evaluated yet.
std::string choices_json(const ChoiceFacts& facts,
                         std::span<const SetScores> scores,
                         const ForeignCurve* curve);
/// questions.jsonl: one line a question, with the likelihoods of its choices.
std::string choices_jsonl(const ChoiceFacts& facts,
                          const QuestionSet& set,
                          std::span<const ChoiceReply> replies);
/// For people.
std::string choices_table(std::span<const SetScores> scores, const ForeignCurve* curve);

}  // namespace baton::eval
