#pragma once
// Rows as token ids: prompt by the template, target = accept y eos (positive) or pass eos
// (negative). cutoff_len bounds prompt and target together (0: no bound); only user text is cut, at
// its end, and cuts are counted. Rows too long even without user text keep their template parts and
// answer whole and are counted too.

#include <cstdint>
#include <span>
#include <vector>

#include "baton/data/training_row.hpp"
#include "baton/tokenizer/prompt_template.hpp"

namespace baton::data {

struct Indicators {
  tokenizer::TokenId accept = -1;
  tokenizer::TokenId pass = -1;
};

struct EncodingCounts {
  std::int64_t num_rows_cut = 0;  // rows whose user text was cut
  std::int64_t num_tokens_cut = 0;
  std::int64_t num_rows_over = 0;  // rows longer than cutoff_len even without user text
  std::int64_t num_answers_with_indicator =
      0;  // answers that hold an indicator, banned in decoding
  std::int64_t num_prompt_tokens = 0;
  std::int64_t num_target_tokens = 0;
};

class RowEncoder {
 public:
  RowEncoder(const tokenizer::Tokenizer& tokenizer,
             const tokenizer::PromptTemplate& prompt_template,
             Indicators indicators,
             std::int64_t cutoff_len);

  /// row_index of the result = position in `rows`.
  std::vector<TrainingRow> encode(std::span<const SelectedRow> rows, EncodingCounts& counts) const;
  /// The prompt of a question, as `encode` would make it before any target (cut to cutoff_len).
  std::vector<tokenizer::TokenId> encode_prompt(const Example& example,
                                                EncodingCounts& counts) const;

 private:
  std::vector<tokenizer::TokenId> encode_within(const Example& example,
                                                std::int64_t num_target_tokens,
                                                EncodingCounts& counts) const;

  const tokenizer::Tokenizer& tokenizer_;
  const tokenizer::PromptTemplate& prompt_template_;
  Indicators indicators_;
  std::int64_t cutoff_len_;
};

}  // namespace baton::data
