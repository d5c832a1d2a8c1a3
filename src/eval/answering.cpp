#include "baton/eval/answering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::eval {

int answerer_of(std::span<const method::Answerer> named,
                std::size_t num_experts,
                std::span<const Ensemble> ensembles) {
  if (named.size() == 1) {
    return named.front().expert;
  }
  const auto has_them = [named](const Ensemble& ensemble) {
    return std::equal(
        named.begin(), named.end(), ensemble.members.begin(), ensemble.members.end(),
        [](const method::Answerer& answerer, int member) { return answerer.expert == member; });
  };
  const auto found = std::find_if(ensembles.begin(), ensembles.end(), has_them);
  BATON_ASSERT(found != ensembles.end(), fmt::format("{} answerers", named.size()));
  return static_cast<int>(num_experts) + static_cast<int>(found - ensembles.begin());
}

const ChainExpert* voice_at(int answerer,
                            std::span<const ChainExpert> experts,
                            std::span<const Ensemble> ensembles) {
  if (answerer == method::kBase) {
    return nullptr;
  }
  const auto index = static_cast<std::size_t>(answerer);
  return index < experts.size() ? &experts[index] : &ensembles[index - experts.size()].voice;
}

std::vector<method::PanelExpert> panel_of(std::span<const ChainExpert> experts) {
  std::vector<method::PanelExpert> panel;
  for (const ChainExpert& expert : experts) {
    panel.push_back({expert.name, expert.threshold, panel.size()});
  }
  return panel;
}

std::string answer_text(const tokenizer::Tokenizer& tokenizer, const Prompt& tokens) {
  return base::trim(tokenizer.decode(tokens, /*skip_special=*/true));
}

Voice::Voice(const Answering& answering, const ChainExpert* expert)
    : answering_(answering), expert_(expert), options_(answering.base_decoding) {
  if (expert_ != nullptr) {
    adapters_ = expert_->adapters;
  }
  if (has_margins()) {
    options_.forced_first_token = expert_->indicators->accept;
    options_.banned_ids_after_first = {expert_->indicators->accept, expert_->indicators->pass};
  }
}

// Room for the indicator as well.
Prefill Voice::read(std::span<const Prompt> prompts) const {
  return prefill(answering_.model, prompts, adapters(), options_.max_new_tokens + 1);
}

std::vector<double> Voice::margins(const Prefill& rows,
                                   const std::function<std::string(std::size_t)>& row_name) const {
  BATON_ASSERT(has_margins(), "no indicators to ask by");
  std::vector<double> values = margins_of(answering_.model, rows.hidden,
                                          expert_->indicators->accept, expert_->indicators->pass);
  for (std::size_t row = 0; row < values.size(); ++row) {
    if (!std::isfinite(values[row])) {
      throw base::Error(base::ErrorKind::kNonFinite, "an expert's margin is not a number",
                        {.where = fmt::format("expert {}, {}", expert_->name, row_name(row)),
                         .expected = "a finite logit(accept) - logit(pass)",
                         .found = fmt::format("{}", values[row]),
                         .fix = "train this expert again: its weights diverged or are damaged"});
    }
  }
  return values;
}

std::vector<std::vector<double>> Voice::log_likelihoods(
    const Prefill& rows, std::span<const std::vector<Prompt>> choices) const {
  return eval::log_likelihoods(answering_.model, rows, adapters(), options_.forced_first_token,
                               choices);
}

std::vector<Answer> Voice::decode(Prefill rows) const {
  std::vector<Answer> answers;
  for (const Decoded& decoded :
       greedy_decode(answering_.model, std::move(rows), adapters(), options_)) {
    answers.push_back({answer_text(answering_.tokenizer, decoded.tokens), decoded.num_new_tokens});
  }
  return answers;
}

}  // namespace baton::eval
