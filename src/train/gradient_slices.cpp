#include "baton/train/gradient_slices.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <utility>

#include "baton/base/error.hpp"

namespace baton::train {

std::vector<GradientSlice> slice_by_layers(const std::vector<std::int64_t>& layer_begins,
                                           std::int64_t total,
                                           int max_slices) {
  BATON_ASSERT(max_slices > 0 && total >= 0,
               fmt::format("{} slices of {} values", max_slices, total));
  std::vector<GradientSlice> slices;
  std::int64_t end = total;
  for (std::size_t i = layer_begins.size(); i-- > 1;) {
    const std::int64_t begin = layer_begins[i];
    const std::int64_t num_left = max_slices - static_cast<std::int64_t>(slices.size());
    // As large as an equal share of what is left.
    if (num_left > 1 && end > begin && (end - begin) * num_left >= end) {
      slices.push_back({begin, end - begin});
      end = begin;
    }
  }
  if (end > 0) {
    slices.push_back({0, end});
  }
  return slices;
}

GradientSlices::GradientSlices(comm::Communicator& group,
                               at::Tensor gradient,
                               const std::vector<std::int64_t>& layer_begins,
                               int max_slices)
    : group_(group),
      gradient_(std::move(gradient)),
      layer_begins_(layer_begins),
      slices_(slice_by_layers(layer_begins_, gradient_.numel(), max_slices)) {}

void GradientSlices::send(const GradientSlice& slice) {
  group_.start_all_reduce_sum({gradient_.data_ptr<float>() + slice.begin,
                               static_cast<std::size_t>(slice.count), gradient_.is_cuda()});
}

// Where nothing goes on in the background one message is the best there is.
void GradientSlices::sum_at_once() {
  if (group_.size() == 1) {
    return;
  }
  const at::Tensor host = gradient_.to(at::kCPU);
  group_.all_reduce_sum(
      comm::FloatBuffer{host.data_ptr<float>(), static_cast<std::size_t>(host.numel()), false});
  if (!gradient_.is_cpu()) {
    gradient_.copy_(host);
  }
}

void GradientSlices::arm() {
  next_ = 0;
  armed_ = group_.sums_in_background();
}

void GradientSlices::layers_done(std::int64_t first_layer) noexcept {
  if (!armed_ || failure_) {
    return;
  }
  try {
    const std::int64_t begin =
        first_layer == 0 ? 0 : layer_begins_.at(static_cast<std::size_t>(first_layer));
    while (next_ < slices_.size() && slices_[next_].begin >= begin) {
      send(slices_[next_++]);
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void GradientSlices::complete() {
  armed_ = false;
  const at::NoGradGuard frozen;
  if (!group_.sums_in_background()) {
    sum_at_once();
    return;
  }
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  for (std::size_t next = std::exchange(next_, 0); !failure && next < slices_.size(); ++next) {
    send(slices_[next]);
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  group_.finish_started();
}

}  // namespace baton::train
