#include "baton/train/gradient_reducer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>

#include "baton/train/gradient_slices.hpp"

namespace baton::train {

namespace {

void add_to(std::vector<float>& sum, const float* values, bool first) {
  if (first) {
    std::copy(values, values + sum.size(), sum.begin());
    return;
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    sum[i] += values[i];
  }
}

class SlotOrderReducer final : public GradientReducer {
 public:
  SlotOrderReducer(comm::Communicator& group, at::Tensor gradient)
      : group_(group),
        gradient_(std::move(gradient)),
        host_(gradient_.to(at::kCPU)),
        sum_(static_cast<std::size_t>(gradient_.numel())) {
    if (group.size() > 1) {
      nothing_.resize(sum_.size());
      gathered_.resize(sum_.size() * static_cast<std::size_t>(group.size()));
    }
  }

  void start(std::int64_t num_slots) override {
    gradient_.zero_();
    num_slots_ = num_slots;
    next_slot_ = 0;
  }

  void before_slot(bool) override { gradient_.zero_(); }

  void layers_done(std::int64_t) noexcept override {}

  // On a CPU the two are one tensor.
  void after_slot() override {
    if (!gradient_.is_cpu()) {
      host_.copy_(gradient_);
    }
  }

  void end_last_round(const std::optional<base::Error>&) override {}

  void add_round(bool has_slot) override {
    const comm::FloatBuffer mine{host_.data_ptr<float>(), sum_.size(), false};
    if (group_.size() == 1) {
      add_to(sum_, mine.data, next_slot_ == 0);
      ++next_slot_;
      return;
    }
    group_.all_gather(has_slot ? mine : comm::FloatBuffer{nothing_.data(), nothing_.size(), false},
                      {gathered_.data(), gathered_.size(), false});
    for (int rank = 0; rank < group_.size() && next_slot_ < num_slots_; ++rank, ++next_slot_) {
      add_to(sum_, gathered_.data() + static_cast<std::size_t>(rank) * sum_.size(),
             next_slot_ == 0);
    }
  }

  void finish() override {
    BATON_ASSERT(next_slot_ == num_slots_,
                 std::to_string(next_slot_) + " of " + std::to_string(num_slots_));
    std::copy(sum_.begin(), sum_.end(), host_.data_ptr<float>());
    if (!gradient_.is_cpu()) {
      gradient_.copy_(host_);
    }
  }

 private:
  comm::Communicator& group_;
  at::Tensor gradient_;
  at::Tensor host_;  // gradient_ itself on a CPU
  std::vector<float> sum_;
  std::vector<float> nothing_;   // what a rank without a slot sends
  std::vector<float> gathered_;  // [size x n]
  std::int64_t num_slots_ = 0;
  std::int64_t next_slot_ = 0;
};

class SlicedReducer final : public GradientReducer {
 public:
  SlicedReducer(comm::Communicator& group,
                at::Tensor gradient,
                const std::vector<std::int64_t>& layer_begins)
      : gradient_(gradient), slices_(group, std::move(gradient), layer_begins) {}

  void start(std::int64_t) override { gradient_.zero_(); }

  void before_slot(bool is_last) override {
    if (is_last) {
      slices_.arm();
    }
  }

  void layers_done(std::int64_t first_layer) noexcept override { slices_.layers_done(first_layer); }

  void after_slot() override {}

  void end_last_round(const std::optional<base::Error>& failure) override {
    try {
      slices_.complete();
    } catch (const base::Error&) {
      if (failure) {
        throw *failure;  // what came first says more than the broken group
      }
      throw;
    }
  }

  void add_round(bool) override {}
  void finish() override {}

 private:
  at::Tensor gradient_;
  GradientSlices slices_;
};

}  // namespace

std::unique_ptr<GradientReducer> make_slot_order_reducer(comm::Communicator& group,
                                                         at::Tensor gradient) {
  return std::make_unique<SlotOrderReducer>(group, std::move(gradient));
}

std::unique_ptr<GradientReducer> make_sliced_reducer(
    comm::Communicator& group, at::Tensor gradient, const std::vector<std::int64_t>& layer_begins) {
  return std::make_unique<SlicedReducer>(group, std::move(gradient), layer_begins);
}

}  // namespace baton::train
