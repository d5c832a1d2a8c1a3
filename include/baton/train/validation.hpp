#pragma once
// The loss on rows that are not learnt from: the plain mean over their target tokens, the first one
// among them, without dropout, weights or penalties, as transformers and PEFT report it. Nothing is
// changed by it.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "baton/comm/communicator.hpp"
#include "baton/data/training_row.hpp"
#include "baton/model/adapter_use.hpp"
#include "baton/model/decoder.hpp"

namespace baton::train {

struct Validation {
  const model::Decoder& model;
  const model::AdapterUses& uses;
  std::span<const data::TrainingRow> rows;
  std::int64_t batch_size = 4;  // rows at a time on one rank
  /// Called on every rank before each batch; true asks to stop, which any rank may do. May be empty.
  std::function<bool()> before_batch = {};
};

/// Collective over `group`: whole batches are dealt to its ranks and summed in their order, so the
/// bits do not depend on the number of ranks. Nothing when a rank asked to stop.
std::optional<double> validation_loss(const Validation& validation, comm::Communicator& group);

}  // namespace baton::train
