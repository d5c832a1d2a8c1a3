#include "baton/train/gradient_reducer.hpp"

#include <algorithm>
#include <string>

#include "baton/base/error.hpp"

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

class SlotOrderReducer : public GradientReducer {
 public:
  SlotOrderReducer(comm::Communicator& group, std::size_t count) : group_(group), sum_(count) {
    if (group.size() > 1) {
      mine_.resize(count);
      gathered_.resize(count * static_cast<std::size_t>(group.size()));
    }
  }

  void start(std::int64_t num_slots) override {
    num_slots_ = num_slots;
    next_slot_ = 0;
  }

  void add(comm::FloatBuffer gradient) override {
    if (group_.size() == 1) {
      add_to(sum_, gradient.data, next_slot_ == 0);
      ++next_slot_;
      return;
    }
    comm::FloatBuffer mine{mine_.data(), mine_.size(), false};
    if (gradient.data != nullptr) {
      mine = gradient;
    }
    group_.all_gather(mine, {gathered_.data(), gathered_.size(), false});
    for (int rank = 0; rank < group_.size() && next_slot_ < num_slots_; ++rank, ++next_slot_) {
      add_to(sum_, gathered_.data() + static_cast<std::size_t>(rank) * sum_.size(),
             next_slot_ == 0);
    }
  }

  void finish(comm::FloatBuffer total) override {
    BATON_ASSERT(next_slot_ == num_slots_,
                 std::to_string(next_slot_) + " of " + std::to_string(num_slots_));
    std::copy(sum_.begin(), sum_.end(), total.data);
  }

 private:
  comm::Communicator& group_;
  std::vector<float> sum_;
  std::vector<float> mine_;      // what a rank without a slot sends
  std::vector<float> gathered_;  // [size x count]
  std::int64_t num_slots_ = 0;
  std::int64_t next_slot_ = 0;
};

}  // namespace

std::unique_ptr<GradientReducer> make_slot_order_reducer(comm::Communicator& group,
                                                         std::size_t count) {
  return std::make_unique<SlotOrderReducer>(group, count);
}

}  // namespace baton::train
