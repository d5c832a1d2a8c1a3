#pragma once
// A row as a slot of the model has it: what it reads, and the places of the loss. For learning and
// for validating alike.

#include <cstdint>

#include "baton/data/training_row.hpp"
#include "baton/model/training_pass.hpp"

namespace baton::train {

/// Adds a row behind the `num_packed` tokens of those before it, and counts on. Its first target
/// token weighs `opening`, the others 1.
inline void append_row(const data::TrainingRow& row,
                       double opening,
                       std::int64_t& num_packed,
                       model::TrainingSlot& slot) {
  const auto length = static_cast<std::int64_t>(row.tokens.size());
  slot.inputs.emplace_back(row.tokens.begin(), row.tokens.end() - 1);
  for (std::int64_t position = row.prompt_length; position < length; ++position) {
    slot.label_positions.push_back(num_packed + position - 1);
    slot.targets.push_back(row.tokens[static_cast<std::size_t>(position)]);
    slot.weights.push_back(position == row.prompt_length ? static_cast<float>(opening) : 1.0F);
  }
  num_packed += length - 1;
}

}  // namespace baton::train
