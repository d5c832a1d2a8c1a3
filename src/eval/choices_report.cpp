// Multiple choice by likelihood as files and as a table for people.

#include <fmt/format.h>

#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "baton/eval/choices.hpp"

namespace baton::eval {

namespace {

using base::OrderedJson;

constexpr int kFormat = 1;

std::string answerer_name(const ChoiceFacts& facts, std::int64_t answerer) {
  return answerer == method::kBase ? "base" : facts.experts[static_cast<std::size_t>(answerer)];
}

OrderedJson accuracy_json(const ChoiceAccuracy& accuracy) {
  OrderedJson json;
  json["accuracy"] = accuracy.accuracy;
  json["accuracy_normalised"] = accuracy.normalised;
  return json;
}

OrderedJson set_json(const ChoiceFacts& facts, const SetScores& set) {
  OrderedJson json;
  json["name"] = set.name;
  json["questions"] = set.num_questions;
  json["base"] = accuracy_json(set.base);
  json["chain"] = accuracy_json(set.chain);
  json["difference"] = set.chain.accuracy - set.base.accuracy;
  json["difference_standard_error"] = set.difference_error;
  json["left_to_base"] = set.left_to_base;
  json["answered_by"] = OrderedJson::object();
  for (std::size_t i = 0; i < set.answered_by.size(); ++i) {
    const bool is_base = i + 1 == set.answered_by.size();
    json["answered_by"][is_base ? "base" : facts.experts[i]] = set.answered_by[i];
  }
  return json;
}

OrderedJson curve_json(const ForeignCurve& curve) {
  OrderedJson json;
  json["statistic"] = "max over experts of margin - threshold";
  json["own_queries"] = curve.num_own;
  json["questions"] = curve.num_foreign;
  json["area"] = curve.area;
  json["points"] = OrderedJson::array();
  for (const expert::RocPoint& point : curve.points) {
    OrderedJson entry;
    entry["threshold"] = point.threshold;
    entry["own_accepted"] = point.true_positive_rate;
    entry["questions_accepted"] = point.false_positive_rate;
    json["points"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string choices_json(const ChoiceFacts& facts,
                         std::span<const SetScores> scores,
                         const ForeignCurve* curve) {
  OrderedJson json;
  json["format"] = kFormat;
  json["method"] = facts.method;
  json["router"] = facts.router;
  json["base_description"] = facts.base_description;
  json["scorer"] = "multiple choice by log likelihood, summed over tokens";
  json["sets"] = OrderedJson::array();
  for (const SetScores& set : scores) {
    json["sets"].push_back(set_json(facts, set));
  }
  json["roc"] = curve == nullptr ? OrderedJson(nullptr) : curve_json(*curve);
  return json.dump(1) + "\n";
}

std::string choices_jsonl(const ChoiceFacts& facts,
                          const QuestionSet& set,
                          std::span<const ChoiceReply> replies) {
  std::string lines;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const ChoiceQuestion& question = set.questions[i];
    const ChoiceReply& reply = replies[i];
    OrderedJson line;
    line["set"] = set.name;
    line["id"] = question.id;
    line["choices"] = question.texts;
    line["right"] = OrderedJson::array();
    for (std::size_t choice = 0; choice < question.texts.size(); ++choice) {
      if (question.is_right[choice]) {
        line["right"].push_back(question.texts[choice]);
      }
    }
    line["margins"] = OrderedJson::object();
    for (std::size_t expert = 0; expert < reply.margins.size(); ++expert) {
      line["margins"][facts.experts[expert]] = reply.margins[expert];
    }
    line["answered_by"] = answerer_name(facts, reply.answerer);
    line["base"] = reply.base;
    line["chain"] = reply.chain;
    lines += line.dump() + "\n";
  }
  return lines;
}

std::string choices_table(std::span<const SetScores> scores, const ForeignCurve* curve) {
  std::vector<std::vector<std::string>> rows;
  for (const SetScores& set : scores) {
    rows.push_back({set.name, fmt::format("{}", set.num_questions),
                    fmt::format("{:.1f}", set.base.accuracy),
                    fmt::format("{:.1f}", set.chain.accuracy),
                    fmt::format("{:+.1f} ± {:.1f}", set.chain.accuracy - set.base.accuracy,
                                set.difference_error),
                    fmt::format("{:.3f}", set.left_to_base)});
  }
  std::string text = base::format_table(
      {"questions", "number", "base", "chain", "difference", "left to the base"}, rows);
  text += "\naccuracy of the likeliest choice; the difference with its standard error\n";
  if (curve != nullptr) {
    text += fmt::format(
        "own queries against questions, by the largest margin above a threshold: area under the "
        "curve {:.3f}\n",
        curve->area);
  }
  return text;
}

}  // namespace baton::eval
