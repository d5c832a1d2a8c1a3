#include "baton/train/gradient_slices.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::train {

namespace {

class CallAfterAccumulation : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit CallAfterAccumulation(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

/// Calls use(factor, layer) for every factor in the adapter's order.
template <typename Use>
void for_each_factor(const model::Adapter& adapter, Use use) {
  for (std::size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (const model::LoraFactors& factors : adapter.layers[layer]) {
      if (factors.a.defined()) {
        use(factors.a, layer);
        use(factors.b, layer);
      }
    }
  }
}

}  // namespace

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

struct GradientSlices::State {
  comm::Communicator& group;
  at::Tensor gradient;
  std::vector<at::Tensor> factors;
  std::vector<GradientSlice> slices;
  std::vector<std::int64_t> num_factors;  // of each slice
  std::vector<std::int64_t> num_missing;  // of each slice, in the pass that is armed
  std::size_t next = 0;                   // the first slice that has not left
  bool armed = false;
  std::exception_ptr failure;

  State(comm::Communicator& the_group, at::Tensor the_gradient)
      : group(the_group), gradient(std::move(the_gradient)) {}

  std::size_t slice_of(std::int64_t position) const {
    const auto found = std::find_if(slices.begin(), slices.end(), [&](const GradientSlice& slice) {
      return slice.begin <= position;
    });
    return static_cast<std::size_t>(found - slices.begin());
  }

  void send(const GradientSlice& slice) {
    group.start_all_reduce_sum({gradient.data_ptr<float>() + slice.begin,
                                static_cast<std::size_t>(slice.count), gradient.is_cuda()});
  }

  /// A slice's turn comes only after those before it, so that all ranks start the same ones in the
  /// same order.
  void one_less(std::size_t slice) {
    --num_missing[slice];
    while (armed && !failure && next < slices.size() && num_missing[next] <= 0) {
      try {
        send(slices[next++]);
      } catch (...) {  // not through autograd: complete() tells
        failure = std::current_exception();
      }
    }
  }

  /// Where nothing goes on in the background one message is the best there is.
  void sum_at_once() {
    if (group.size() == 1) {
      return;
    }
    const at::Tensor host = gradient.to(at::kCPU);
    group.all_reduce_sum(
        comm::FloatBuffer{host.data_ptr<float>(), static_cast<std::size_t>(host.numel()), false});
    if (!gradient.is_cpu()) {
      gradient.copy_(host);
    }
  }
};

GradientSlices::GradientSlices(comm::Communicator& group,
                               const model::Adapter& adapter,
                               at::Tensor gradient,
                               int max_slices)
    : state_(std::make_shared<State>(group, std::move(gradient))) {
  std::vector<std::int64_t> layer_begins(adapter.layers.size(), 0);
  std::vector<std::int64_t> begins;
  std::int64_t end = 0;
  std::size_t next_layer = 0;
  for_each_factor(adapter, [&](const at::Tensor& factor, std::size_t layer) {
    for (; next_layer <= layer; ++next_layer) {
      layer_begins[next_layer] = end;
    }
    begins.push_back(end);
    state_->factors.push_back(factor);
    end += factor.numel();
  });
  std::fill(layer_begins.begin() + static_cast<std::ptrdiff_t>(next_layer), layer_begins.end(),
            end);
  BATON_ASSERT(end <= state_->gradient.numel(),
               fmt::format("{} values of factors, {} of gradients", end, state_->gradient.numel()));

  state_->slices = slice_by_layers(layer_begins, state_->gradient.numel(), max_slices);
  state_->num_factors.assign(state_->slices.size(), 0);
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t slice = state_->slice_of(begins[i]);
    ++state_->num_factors[slice];
    torch::autograd::impl::set_post_acc_grad_hooks(
        state_->factors[i],
        std::make_unique<CallAfterAccumulation>([weak = std::weak_ptr<State>(state_), slice] {
          if (const std::shared_ptr<State> state = weak.lock(); state && state->armed) {
            state->one_less(slice);
          }
        }));
  }
}

GradientSlices::~GradientSlices() {
  for (const at::Tensor& factor : state_->factors) {
    torch::autograd::impl::set_post_acc_grad_hooks(factor, nullptr);
  }
}

void GradientSlices::arm() {
  state_->num_missing = state_->num_factors;
  state_->next = 0;
  state_->armed = state_->group.sums_in_background();
}

void GradientSlices::complete() {
  State& state = *state_;
  state.armed = false;
  const at::NoGradGuard frozen;
  if (!state.group.sums_in_background()) {
    state.sum_at_once();
    return;
  }
  const std::exception_ptr failure = std::exchange(state.failure, nullptr);
  for (std::size_t next = std::exchange(state.next, 0); !failure && next < state.slices.size();
       ++next) {
    state.send(state.slices[next]);
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
  state.group.finish_started();
}

const std::vector<GradientSlice>& GradientSlices::slices() const {
  return state_->slices;
}

}  // namespace baton::train
