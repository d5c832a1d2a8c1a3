#pragma once
// The fast way to one gradient on every rank of a group: each rank adds up its own micro-batch
// slots in one flat buffer, and the sums over ranks are made in a few slices that leave while the
// backward pass of the update's last slot still runs. The bits of a sum depend on the group's size
// and backend. Behind GradientReducer, which has the other way too.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <vector>

#include "baton/comm/communicator.hpp"

namespace baton::train {

/// Values [begin, begin + count) of the flat gradient.
struct GradientSlice {
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

/// Pure. Cuts [0, total) at borders of layers into at most `max_slices` pieces of about the same
/// size. The last layers come first, for the backward pass ends with the first; what follows the
/// last layer goes with it. `layer_begins` [L]: where each layer's factors begin, ascending from 0.
std::vector<GradientSlice> slice_by_layers(const std::vector<std::int64_t>& layer_begins,
                                           std::int64_t total,
                                           int max_slices);

class GradientSlices {
 public:
  static constexpr int kMaxSlices = 4;

  /// `gradient` [P + n] fp32: the factors' gradients layer by layer, and n more values known before a
  /// backward pass. `layer_begins` [L] as for slice_by_layers.
  GradientSlices(comm::Communicator& group,
                 at::Tensor gradient,
                 const std::vector<std::int64_t>& layer_begins,
                 int max_slices = kMaxSlices);

  /// The next backward pass is this rank's last of the update: slices leave as soon as they and all
  /// before them are complete. Does nothing where the backend sums nothing in the background.
  void arm();

  /// The gradients of `first_layer` and all above it are final: armed, their slices leave. What
  /// fails is kept for complete().
  void layers_done(std::int64_t first_layer) noexcept;

  /// Collective, also over ranks without a slot or whose slot failed: sends what has not left yet.
  /// Afterwards the compute stream sees the group's sum in `gradient`; the host does not wait
  /// (Communicator::wait_for_started). Throws what a slice met on its way out.
  void complete();

  /// The slices in the order in which they leave.
  const std::vector<GradientSlice>& slices() const { return slices_; }

 private:
  void send(const GradientSlice& slice);
  void sum_at_once();

  comm::Communicator& group_;
  at::Tensor gradient_;
  std::vector<std::int64_t> layer_begins_;
  std::vector<GradientSlice> slices_;
  std::size_t next_ = 0;  // the first slice that has not left
  bool armed_ = false;
  std::exception_ptr failure_;
};

}  // namespace baton::train
