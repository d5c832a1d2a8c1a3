#pragma once
// How the gradients of an update's micro-batch slots become one sum on every rank of a group, the
// same whatever the group's size. The trainer deals the slots in rounds: in round r rank g works on
// slot r x size + g, if there is one, and then all ranks call `add` together, with or without a
// gradient. The faster way without that promise is GradientSlices.

#include <cstdint>
#include <memory>
#include <vector>

#include "baton/comm/communicator.hpp"

namespace baton::train {

class GradientReducer {
 public:
  virtual ~GradientReducer() = default;

  /// Begins an update of `num_slots` slots.
  virtual void start(std::int64_t num_slots) = 0;
  /// Collective. `gradient` is this rank's slot of the round (null data: it has none).
  virtual void add(comm::FloatBuffer gradient) = 0;
  /// Collective. Writes the sum over all slots to `total`, the same bits on every rank.
  virtual void finish(comm::FloatBuffer total) = 0;
};

/// Deterministic: slot gradients are gathered and summed in slot order, so the sum does not depend
/// on the number of ranks. Host memory.
std::unique_ptr<GradientReducer> make_slot_order_reducer(comm::Communicator& group,
                                                         std::size_t count);

}  // namespace baton::train
