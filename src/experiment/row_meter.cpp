#include "baton/experiment/row_meter.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace baton::experiment {

namespace {

std::int64_t text_bytes(const data::Example& row) {
  std::size_t bytes = sizeof(data::Example) + row.id.size() + row.origin.size();
  for (const tokenizer::Message& message : row.conversation) {
    bytes += sizeof(message) + message.text.size();
  }
  for (const std::string& reference : row.references) {
    bytes += sizeof(reference) + reference.size();
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace

RowMeter::RowMeter(const RowMaking& making, std::size_t max_encoded)
    : making_(making), max_encoded_(max_encoded) {}

RowSums RowMeter::own(const std::string& task, std::span<const data::Example> rows) const {
  if (making_.validation.val_size == 0) {
    return measure(rows, {.name = task, .own = {{task, rows}}});
  }
  const data::ValidationSplit split = data::split_validation(task, rows, making_.validation);
  return measure(rows, {.name = task, .own = {{task, split.training}}});
}

RowSums RowMeter::rehearsed(const data::RehearsalBuffer& buffer) const {
  return measure(buffer.rows, {.buffers = std::span(&buffer, 1)});
}

RowSums RowMeter::general(std::span<const data::Example> rows) const {
  return measure(rows, {.general = rows});
}

RowSums RowMeter::measure(std::span<const data::Example> all, method::LearnerRows rows) const {
  rows.indicators = making_.indicators;
  const std::vector<data::SelectedRow> drawn = making_.method.training_set(rows).training;
  RowSums sums;
  for (const data::Example& row : all) {
    sums.text_bytes += text_bytes(row);
  }
  std::vector<data::SelectedRow> chosen;
  const std::size_t stride =
      max_encoded_ == 0
          ? 1
          : std::max<std::size_t>(1, (drawn.size() + max_encoded_ - 1) / max_encoded_);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    sums.text_bytes += text_bytes(drawn[i].example);
    if (i % stride == 0) {
      chosen.push_back(drawn[i]);
    }
  }
  data::EncodingCounts counts;
  for (const data::TrainingRow& row : making_.encoder.encode(chosen, counts)) {
    const auto num_tokens = static_cast<std::int64_t>(row.tokens.size());
    ++sums.num_rows;
    sums.num_tokens += num_tokens;
    sums.longest_row = std::max(sums.longest_row, num_tokens);
    sums.longest_target = std::max(sums.longest_target, row.num_target_tokens());
  }
  if (stride > 1) {
    const double share = static_cast<double>(drawn.size()) / static_cast<double>(chosen.size());
    sums.num_rows = std::llround(static_cast<double>(sums.num_rows) * share);
    sums.num_tokens = std::llround(static_cast<double>(sums.num_tokens) * share);
  }
  return sums;
}

std::int64_t bytes_held(const RowSums& sums) {
  const auto token = static_cast<std::int64_t>(sizeof(tokenizer::TokenId));
  const auto row = static_cast<std::int64_t>(sizeof(data::TrainingRow));
  return sums.text_bytes + sums.num_tokens * token + sums.num_rows * row;
}

}  // namespace baton::experiment
