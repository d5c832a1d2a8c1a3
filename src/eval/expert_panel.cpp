#include "baton/eval/expert_panel.hpp"

#include <fmt/format.h>

#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::eval {

ModelPanel::ModelPanel(const model::Decoder& model,
                       std::span<const ChainExpert> experts,
                       const Prompt& prompt,
                       std::int64_t spare)
    : model_(model), experts_(experts), prompt_(prompt), spare_(spare) {}

Prefill ModelPanel::read(int expert) {
  ++num_prefills_;
  const std::span<const Prompt> prompts(&prompt_, 1);
  if (expert == method::kBase) {
    return prefill(model_, prompts, nullptr, spare_);
  }
  const model::AdapterUses adapters(*at(expert).adapter);
  return prefill(model_, prompts, &adapters, spare_);
}

double ModelPanel::margin(int expert) {
  const auto known = margins_.find(expert);
  if (known != margins_.end()) {
    return known->second;
  }
  const auto place = prefills_.emplace(expert, read(expert)).first;
  const double value =
      margins_of(model_, place->second.hidden, at(expert).accept_id, at(expert).pass_id)[0];
  margins_.emplace(expert, value);
  return value;
}

Prefill ModelPanel::take(int expert) {
  auto node = prefills_.extract(expert);
  return node.empty() ? read(expert) : std::move(node.mapped());
}

DecodeOptions expert_decoding(const ChainExpert& expert, const DecodeOptions& base_decoding) {
  DecodeOptions options = base_decoding;
  options.forced_first_token = expert.accept_id;
  options.banned_ids_after_first = {expert.accept_id, expert.pass_id};
  return options;
}

std::string answer_text(const tokenizer::Tokenizer& tokenizer, const Prompt& tokens) {
  return base::trim(tokenizer.decode(tokens, /*skip_special=*/true));
}

}  // namespace baton::eval
