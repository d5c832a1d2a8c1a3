#include "baton/data/row_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>

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
                       std::int64_t cutoff_len)
    : tokenizer_(tokenizer),
      prompt_template_(prompt_template),
      indicators_(indicators),
      cutoff_len_(cutoff_len) {
  if (cutoff_len < 0) {
    throw base::Error(base::ErrorKind::kUsage, "cutoff_len is below 0",
                      {.where = "config key data.cutoff_len",
                       .expected = "a number of tokens, or 0 for no limit",
                       .found = std::to_string(cutoff_len),
                       .fix = "set it to the longest row in tokens you want to train on"});
  }
}

std::vector<TokenId> RowEncoder::encode_within(const Example& example,
                                               std::int64_t num_target_tokens,
                                               EncodingCounts& counts) const {
  // 0 would mean "no limit" to the template; 1 leaves no user text, which is what a long answer
  // asks for.
  const std::int64_t room =
      cutoff_len_ == 0 ? 0 : std::max<std::int64_t>(1, cutoff_len_ - num_target_tokens);
  tokenizer::EncodedPrompt prompt =
      with_origin(example, [&] { return prompt_template_.encode(example.conversation, room); });
  if (prompt.num_user_tokens_cut > 0) {
    ++counts.num_rows_cut;
    counts.num_tokens_cut += prompt.num_user_tokens_cut;
  }
  if (cutoff_len_ > 0 && size_of(prompt.ids) + num_target_tokens > cutoff_len_) {
    ++counts.num_rows_over;
  }
  counts.num_prompt_tokens += size_of(prompt.ids);
  counts.num_target_tokens += num_target_tokens;
  return std::move(prompt.ids);
}

std::vector<TrainingRow> RowEncoder::encode(std::span<const SelectedRow> rows,
                                            EncodingCounts& counts) const {
  std::vector<TrainingRow> encoded;
  encoded.reserve(rows.size());
  for (const SelectedRow& row : rows) {
    std::vector<TokenId> target;
    if (row.role == RowRole::kPositive) {
      target = with_origin(row.example,
                           [&] { return tokenizer_.encode(row.example.references.front()); });
      const bool has_indicator = std::any_of(target.begin(), target.end(), [this](TokenId id) {
        return id == indicators_.accept || id == indicators_.pass;
      });
      counts.num_answers_with_indicator += has_indicator ? 1 : 0;
      target.insert(target.begin(), indicators_.accept);
    } else {
      target = {indicators_.pass};
    }
    target.push_back(prompt_template_.end_of_answer_id());
    TrainingRow result;
    result.tokens = encode_within(row.example, size_of(target), counts);
    result.prompt_length = size_of(result.tokens);
    result.tokens.insert(result.tokens.end(), target.begin(), target.end());
    result.role = row.role;
    result.task = row.task;
    result.fold = row.fold;
    result.row_index = static_cast<std::int64_t>(encoded.size());
    encoded.push_back(std::move(result));
  }
  return encoded;
}

std::vector<TokenId> RowEncoder::encode_prompt(const Example& example,
                                               EncodingCounts& counts) const {
  return encode_within(example, 0, counts);
}

}  // namespace baton::data
