#pragma once
// One training row: as text, chosen for an expert, and as token ids, what the trainer learns from.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/data/example.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::data {

enum class RowRole { kPositive, kRehearsal, kGeneral, kMismatch };

/// A row that stands in an expert's training set. Its target: opening [answer] end-of-answer.
struct SelectedRow {
  Example example;
  RowRole role = RowRole::kPositive;
  std::string task;
  int fold = 0;  // 0 or 1: which half of its list it is in
  std::vector<tokenizer::TokenId> opening = {};
  bool has_answer = true;  // the example's first reference
};

struct TrainingRow {
  std::vector<tokenizer::TokenId> tokens;  // prompt, then target
  std::int64_t prompt_length = 0;          // tokens [0, prompt_length) carry no loss
  RowRole role = RowRole::kPositive;
  std::string task;            // the task the row was taken from ("" for general rows)
  std::int64_t row_index = 0;  // position in the expert's reconstructed training set: keys dropout
  double opening_weight = 1;   // of its first target token, among those of the set
  int fold = 0;

  std::int64_t num_target_tokens() const {
    return static_cast<std::int64_t>(tokens.size()) - prompt_length;
  }
};

}  // namespace baton::data
