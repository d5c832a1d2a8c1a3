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
                       std::int64_t cutoff_len,
                       std::int64_t max_positions,
                       std::vector<TokenId> reserved)
    : tokenizer_(tokenizer),
      prompt_template_(prompt_template),
      cutoff_len_(cutoff_len),
      max_positions_(max_positions),
      reserved_(std::move(reserved)) {
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
  std::vector<TokenId> target = row.opening;
  if (row.has_answer) {
    const std::vector<TokenId> answer =
        with_origin(row.example, [&] { return tokenizer_.encode(row.example.references.front()); });
    target.insert(target.end(), answer.begin(), answer.end());
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
    const auto answer = target.begin() + static_cast<std::ptrdiff_t>(row.opening.size());
    counts.num_answers_with_reserved +=
        std::find_first_of(answer, target.end() - 1, reserved_.begin(), reserved_.end()) ==
                target.end() - 1
            ? 0
            : 1;
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
