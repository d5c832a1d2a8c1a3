#pragma once
// Rows as token ids: prompt by the template, target = opening [answer] end-of-answer. One rule for
// every prompt, whether it is learnt, held out or asked: it is cut to cutoff_len tokens, user text
// only, at its end, and cuts are counted. Prompts too long even without user text keep their
// template parts and are counted too. A row whose target does not fit is left out and counted.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/data/training_row.hpp"
#include "baton/tokenizer/prompt_template.hpp"

namespace baton::data {

struct EncodingCounts {
  std::int64_t num_rows_cut = 0;  // rows whose user text was cut
  std::int64_t num_tokens_cut = 0;
  std::int64_t num_rows_over = 0;  // prompts longer than cutoff_len even without user text
  std::int64_t num_rows_left_out = 0;
  std::string first_left_out;                  // where that row stands
  std::int64_t num_answers_with_reserved = 0;  // answers that hold a reserved token
  std::int64_t num_prompt_tokens = 0;
  std::int64_t num_target_tokens = 0;
};

class RowEncoder {
 public:
  /// In tokens, 0: no bound. `cutoff_len` of a prompt, and of a target; `max_positions` of both
  /// together, as the model takes them. `reserved`: tokens that are never chosen inside an answer;
  /// rows whose answers hold one are counted.
  RowEncoder(const tokenizer::Tokenizer& tokenizer,
             const tokenizer::PromptTemplate& prompt_template,
             std::int64_t cutoff_len,
             std::int64_t max_positions = 0,
             std::vector<tokenizer::TokenId> reserved = {});

  /// row_index of the result = position in `rows`, also where rows before it were left out.
  std::vector<TrainingRow> encode(std::span<const SelectedRow> rows, EncodingCounts& counts) const;
  /// The prompt of a question, as `encode` makes it.
  std::vector<tokenizer::TokenId> encode_prompt(const Example& example,
                                                EncodingCounts& counts) const;

 private:
  tokenizer::EncodedPrompt cut_prompt(const Example& example) const;
  std::vector<tokenizer::TokenId> target_of(const SelectedRow& row) const;
  bool fits(std::int64_t num_prompt_tokens, std::int64_t num_target_tokens) const;
  void count_prompt(const tokenizer::EncodedPrompt& prompt, EncodingCounts& counts) const;

  const tokenizer::Tokenizer& tokenizer_;
  const tokenizer::PromptTemplate& prompt_template_;
  std::int64_t cutoff_len_;
  std::int64_t max_positions_;
  std::vector<tokenizer::TokenId> reserved_;
};

}  // namespace baton::data
