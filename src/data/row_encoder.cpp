#include "baton/data/row_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::data {

namespace {

using tokenizer::TokenId;

std::int64_t size_of(const std::vector<TokenId>& ids) {
  return static_cast<std::int64_t>(ids.size());
}

// Names the row an error of the tokenizer came from.
template <typename Function>
auto with_origin(const Example& example, Function function) {
  try {
    return function();
  } catch (const base::Error& error) {
    base::ErrorDetails details = error.details();
    details.where = example.origin + (details.where.empty() ? "" : ", " + details.where);
    throw base::Error(error.kind(), error.summary(), details);
  }
}

}  // namespace

RowEncoder::RowEncoder(const tokenizer::Tokenizer& tokenizer,
                       const tokenizer::PromptTemplate& prompt_template,
                       Indicators indicators,
                       std::int64_t cutoff_len,
                       std::int64_t max_positions)
    : tokenizer_(tokenizer),
      prompt_template_(prompt_template),
      indicators_(indicators),
      cutoff_len_(cutoff_len),
      max_positions_(max_positions) {
  if (cutoff_len < 0) {
    throw base::Error(base::ErrorKind::kUsage, "cutoff_len is below 0",
                      {.where = "config key data.cutoff_len",
                       .expected = "a number of tokens, or 0 for no limit",
                       .found = std::to_string(cutoff_len),
                       .fix = "set it to the longest prompt in tokens you want to train on"});
  }
}

tokenizer::EncodedPrompt RowEncoder::cut_prompt(const Example& example) const {
  return with_origin(example,
                     [&] { return prompt_template_.encode(example.conversation, cutoff_len_); });
}

std::vector<TokenId> RowEncoder::target_of(const SelectedRow& row) const {
  std::vector<TokenId> target;
  if (row.role == RowRole::kPositive) {
    target =
        with_origin(row.example, [&] { return tokenizer_.encode(row.example.references.front()); });
    target.insert(target.begin(), indicators_.accept);
  } else {
    target = {indicators_.pass};
  }
  target.push_back(prompt_template_.end_of_answer_id());
  return target;
}

bool RowEncoder::fits(std::int64_t num_prompt_tokens, std::int64_t num_target_tokens) const {
  return (cutoff_len_ == 0 || num_target_tokens <= cutoff_len_) &&
         (max_positions_ == 0 || num_prompt_tokens + num_target_tokens <= max_positions_);
}

void RowEncoder::count_prompt(const tokenizer::EncodedPrompt& prompt,
                              EncodingCounts& counts) const {
  if (prompt.num_user_tokens_cut > 0) {
    ++counts.num_rows_cut;
    counts.num_tokens_cut += prompt.num_user_tokens_cut;
  }
  if (cutoff_len_ > 0 && size_of(prompt.ids) > cutoff_len_) {
    ++counts.num_rows_over;
  }
  counts.num_prompt_tokens += size_of(prompt.ids);
}

std::vector<TrainingRow> RowEncoder::encode(std::span<const SelectedRow> rows,
                                            EncodingCounts& counts) const {
  std::vector<TrainingRow> encoded;
  encoded.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SelectedRow& row = rows[i];
    const std::vector<TokenId> target = target_of(row);
    tokenizer::EncodedPrompt prompt = cut_prompt(row.example);
    if (!fits(size_of(prompt.ids), size_of(target))) {
      if (counts.num_rows_left_out++ == 0) {
        counts.first_left_out = row.example.origin;
      }
      continue;
    }
    count_prompt(prompt, counts);
    counts.num_target_tokens += size_of(target);
    const bool has_indicator = std::any_of(
        target.begin() + 1, target.end() - 1,
        [this](TokenId id) { return id == indicators_.accept || id == indicators_.pass; });
    counts.num_answers_with_indicator += has_indicator ? 1 : 0;
    TrainingRow result;
    result.tokens = std::move(prompt.ids);
    result.prompt_length = size_of(result.tokens);
    result.tokens.insert(result.tokens.end(), target.begin(), target.end());
    result.role = row.role;
    result.task = row.task;
    result.fold = row.fold;
    result.row_index = static_cast<std::int64_t>(i);
    encoded.push_back(std::move(result));
  }
  return encoded;
}

std::vector<TokenId> RowEncoder::encode_prompt(const Example& example,
                                               EncodingCounts& counts) const {
  tokenizer::EncodedPrompt prompt = cut_prompt(example);
  count_prompt(prompt, counts);
  return std::move(prompt.ids);
}

}  // namespace baton::data
