#include "baton/train/validation.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/share.hpp"
#include "slot_rows.hpp"

namespace baton::train {

namespace {

double summed_loss(const Validation& validation, std::span<const data::TrainingRow> rows) {
  model::TrainingSlot slot;
  std::int64_t num_packed = 0;
  for (const data::TrainingRow& row : rows) {
    append_row(row, 1, num_packed, slot);
  }
  return model::loss_alone(validation.model, slot, validation.uses).item<double>();
}

}  // namespace

std::optional<double> validation_loss(const Validation& validation, comm::Communicator& group) {
  const std::size_t num_rows = validation.rows.size();
  const auto batch_size = static_cast<std::size_t>(validation.batch_size);
  const auto num_ranks = static_cast<std::size_t>(group.size());
  double loss = 0;
  for (std::size_t first = 0; first < num_rows; first += batch_size * num_ranks) {
    const std::size_t begin = first + static_cast<std::size_t>(group.rank()) * batch_size;
    double mine = 0;
    std::optional<base::Error> failure;
    bool stops = false;
    try {
      stops = validation.before_batch && validation.before_batch();
      if (!stops && begin < num_rows) {
        mine = summed_loss(validation,
                           validation.rows.subspan(begin, std::min(batch_size, num_rows - begin)));
      }
    } catch (...) {
      failure = base::current_error();
    }
    if (comm::agree_or_stop(group, failure, stops)) {
      return std::nullopt;
    }
    for (const double sum : comm::from_all(group, mine)) {
      loss += sum;
    }
  }
  std::int64_t num_targets = 0;
  for (const data::TrainingRow& row : validation.rows) {
    num_targets += row.num_target_tokens();
  }
  return loss / static_cast<double>(num_targets);
}

}  // namespace baton::train
