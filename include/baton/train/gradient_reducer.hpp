#pragma once
// How the gradients of an update's micro-batch slots become one sum on every rank of a group. The
// trainer deals the slots in rounds: in round r rank g works on slot r x size + g, if there is one.
// Two ways: one whose bits do not depend on the group's size, one that is faster on many ranks.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::train {

class GradientReducer {
 public:
  virtual ~GradientReducer() = default;

  /// Begins an update of `num_slots` slots; the gradient is zero afterwards.
  virtual void start(std::int64_t num_slots) = 0;
  /// This rank is about to add a slot's gradient; `is_last`: in the update's last round.
  virtual void before_slot(bool is_last) = 0;
  /// Nothing more is added to the gradients of these layers in this slot (model::GradientSink).
  virtual void layers_done(std::int64_t first_layer) noexcept = 0;
  /// The slot's gradient is whole.
  virtual void after_slot() = 0;
  /// Collective, on every rank of the update's last round, also where the slot failed (`failure`):
  /// ends what is under way.
  virtual void end_last_round(const std::optional<base::Error>& failure) = 0;
  /// Collective, after the ranks agreed that none failed in this round; `has_slot`: this rank had
  /// one.
  virtual void add_round(bool has_slot) = 0;
  /// After the last round: the gradient is the sum over all slots. On a GPU the host may have to
  /// wait for it (Communicator::wait_for_started).
  virtual void finish() = 0;
};

/// Deterministic: slot gradients are gathered and summed in slot order in host memory, so the sum
/// has the same bits for any number of ranks. `gradient` [n] fp32 is summed in place.
std::unique_ptr<GradientReducer> make_slot_order_reducer(comm::Communicator& group,
                                                         at::Tensor gradient);

/// Each rank adds up its own slots; the sums over ranks are made in a few slices that leave while
/// the backward pass of the last slot still runs (GradientSlices). The bits depend on the group's
/// size and backend. `layer_begins` [L]: where each layer's factors begin in `gradient`.
std::unique_ptr<GradientReducer> make_sliced_reducer(comm::Communicator& group,
                                                     at::Tensor gradient,
                                                     const std::vector<std::int64_t>& layer_begins);

}  // namespace baton::train
