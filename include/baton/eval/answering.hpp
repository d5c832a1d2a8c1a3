#pragma once
// Who can answer, ready to be asked: the experts of a chain and the base, over one model. A Voice
// reads prompts and decodes answers as one of them. Used by asking and by the evaluation, so that
// both decode alike.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/eval/generate.hpp"
#include "baton/expert/indicators.hpp"
#include "baton/method/router.hpp"

namespace baton::eval {

/// One expert of a chain, ready to be asked. Its adapters must outlive it.
struct ChainExpert {
  std::string name;
  model::AdapterUses adapters = {};
  std::size_t position = 0;  // in the task order: it is there from stage position + 1 on
  /// Of one that can be asked whether a query is its own; else it answers without.
  std::optional<expert::Indicators> indicators = {};
  double threshold = 0;
};

/// Experts of a chain that answer as one.
struct Ensemble {
  std::vector<int> members;  // ascending; two or more
  /// Its adapters are those of all members and what weighs them; named after them.
  ChainExpert voice;
};

/// Whom a decision names: an expert's index, kBase, or beyond the experts that of the ensemble with
/// just these members, which is there.
int answerer_of(std::span<const method::Answerer> named,
                std::size_t num_experts,
                std::span<const Ensemble> ensembles);
/// The one with that index; null: the base.
const ChainExpert* voice_at(int answerer,
                            std::span<const ChainExpert> experts,
                            std::span<const Ensemble> ensembles);

/// The experts as a router knows them.
std::vector<method::PanelExpert> panel_of(std::span<const ChainExpert> experts);

/// The model and what belongs to it.
struct Answering {
  const model::Decoder& model;
  const tokenizer::Tokenizer& tokenizer;
  DecodeOptions base_decoding;   // max_new_tokens and stop_ids; nothing forced or banned
  std::int64_t batch_size = 16;  // prompts read and answers decoded at a time
};

/// One answer to one query.
struct Answer {
  std::string text;             // answer_text(): stripped, without special tokens
  std::int64_t new_tokens = 0;  // chosen, the end-of-answer token included, the indicator not

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("text", self.text);
    visit("new_tokens", self.new_tokens);
  }
};

/// The answer as it is shown and scored everywhere: special tokens left out, white space around it
/// stripped.
std::string answer_text(const tokenizer::Tokenizer& tokenizer, const Prompt& tokens);

/// An expert, or the base, reading and answering. Answering and expert must outlive it.
class Voice {
 public:
  /// `expert` null: the base.
  Voice(const Answering& answering, const ChainExpert* expert);
  Voice(const Voice&) = delete;
  Voice& operator=(const Voice&) = delete;

  /// Prompts (none empty) into a cache with room for an answer.
  Prefill read(std::span<const Prompt> prompts) const;
  /// logit(accept) - logit(pass) for each row read; of an expert with indicators only. A margin that is not finite:
  /// kNonFinite, where `row_name` says which row it was.
  std::vector<double> margins(const Prefill& rows,
                              const std::function<std::string(std::size_t)>& row_name) const;
  bool has_margins() const { return expert_ != nullptr && expert_->indicators.has_value(); }
  /// log P(choice | prompt) of every row's choices, as answers of this voice: an expert with
  /// indicators has said `accept` before.
  std::vector<std::vector<double>> log_likelihoods(
      const Prefill& rows, std::span<const std::vector<Prompt>> choices) const;
  /// Greedy answers: those of an expert with indicators begin after its `accept` and hold neither.
  std::vector<Answer> decode(Prefill rows) const;

 private:
  const model::AdapterUses* adapters() const { return expert_ == nullptr ? nullptr : &adapters_; }

  const Answering& answering_;
  const ChainExpert* expert_;
  model::AdapterUses adapters_;
  DecodeOptions options_;
};

}  // namespace baton::eval
