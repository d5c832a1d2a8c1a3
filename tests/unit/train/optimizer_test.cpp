// Learning rates, AdamW, clipping, the reducers and fresh adapters.

#include "baton/train/optimizer.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/train/gradient_reducer.hpp"
#include "baton/train/lr_schedule.hpp"
#include "baton/train/new_adapter.hpp"
#include "training_fixture.hpp"

namespace baton::test {
namespace {

using train::LrSchedule;
using train::LrSchedulerType;

TEST(LrSchedule, HandComputedValues) {
  const LrSchedule cosine{LrSchedulerType::kCosine, 2.0, 0.2, 10};  // two warm-up updates
  EXPECT_DOUBLE_EQ(cosine.at(0), 0.0);
  EXPECT_DOUBLE_EQ(cosine.at(1), 1.0);
  EXPECT_DOUBLE_EQ(cosine.at(2), 2.0);
  EXPECT_NEAR(cosine.at(6), 1.0, 1e-12);                   // half way
  EXPECT_NEAR(cosine.at(4), 1.0 + std::sqrt(0.5), 1e-12);  // a quarter: cos(pi / 4)
  EXPECT_NEAR(cosine.at(10), 0.0, 1e-12);
  const LrSchedule linear{LrSchedulerType::kLinear, 3.0, 0.0, 6};
  EXPECT_DOUBLE_EQ(linear.at(0), 3.0);
  EXPECT_DOUBLE_EQ(linear.at(4), 1.0);
  const LrSchedule constant{LrSchedulerType::kConstant, 5.0, 0.15,
                            10};  // 1.5 updates of warm-up are two
  EXPECT_DOUBLE_EQ(constant.at(1), 2.5);
  EXPECT_DOUBLE_EQ(constant.at(9), 5.0);
}

TEST(LrSchedule, EqualsTransformers) {
  for (const char* name : {"tiny-seven", "tiny-bias-qv", "tiny-llama3-constant", "smollm2-qv"}) {
    const base::Json golden = read_training_golden(name);
    const LrSchedule schedule = schedule_of(golden.at("settings"));
    const auto expected = golden.at("learning_rates").get<std::vector<double>>();
    for (std::size_t step = 0; step < expected.size(); ++step) {
      EXPECT_NEAR(schedule.at(static_cast<std::int64_t>(step)), expected[step], 1e-12)
          << name << ", step " << step;
    }
  }
}

TEST(LrSchedule, NamesAreChecked) {
  EXPECT_EQ(train::lr_scheduler_from_name("linear"), LrSchedulerType::kLinear);
  try {
    train::lr_scheduler_from_name("polynomial");
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("polynomial"));
  }
}

// Algorithm 2 of the paper, with the learning rate as the schedule multiplier, in doubles.
TEST(AdamW, EqualsTheAlgorithm) {
  base::Random random(3);
  constexpr std::size_t kCount = 37;
  std::vector<double> x(kCount);
  for (double& value : x) {
    value = random.uniform() - 0.5;
  }
  const std::vector<float> start(x.begin(), x.end());
  const at::Tensor parameters = at::tensor(start);
  train::AdamW optimizer(parameters,
                         {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3});
  std::vector<double> m(kCount);
  std::vector<double> v(kCount);
  for (int step = 1; step <= 12; ++step) {
    const double rate = 0.05 / step;
    std::vector<float> gradient(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      gradient[i] = static_cast<float>(2 * random.uniform() - 1);
      const double g = gradient[i];
      m[i] = 0.8 * m[i] + 0.2 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double first = m[i] / (1 - std::pow(0.8, step));
      const double second = v[i] / (1 - std::pow(0.95, step));
      x[i] = x[i] - rate * 0.3 * x[i] - rate * first / (std::sqrt(second) + 1e-3);
    }
    optimizer.step(at::tensor(gradient), rate);
  }
  EXPECT_EQ(optimizer.num_steps(), 12);
  EXPECT_LE(max_difference(parameters, at::tensor(x, at::kDouble)), 1e-6);
  EXPECT_LE(max_difference(optimizer.first_moment(), at::tensor(m, at::kDouble)), 2e-7);
  EXPECT_LE(max_difference(optimizer.second_moment(), at::tensor(v, at::kDouble)), 5e-7);
}

TEST(ClipGradient, ScalesToTheLimit) {
  at::Tensor gradient = at::tensor({3.0F, 4.0F});
  EXPECT_DOUBLE_EQ(train::norm_of(gradient).item<double>(), 5.0);
  train::clip_gradient(gradient, 5.0, 0);
  train::clip_gradient(gradient, 5.0, 6.0);
  EXPECT_EQ(gradient[0].item<float>(), 3.0F) << "within the limit nothing changes";
  train::clip_gradient(gradient, 5.0, 1.0);
  EXPECT_NEAR(gradient[0].item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(gradient[1].item<double>(), 0.8, 1e-6);
}

// Slots of very different sizes, so that another order of addition gives other bits.
std::vector<float> slot_gradient(std::int64_t slot, std::size_t count) {
  base::Random random(static_cast<std::uint64_t>(slot) + 100);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>((random.uniform() - 0.5) *
                               std::pow(10.0, static_cast<double>(random.below(7))));
  }
  return values;
}

// What each of `size` ranks gets as the sum of `num_slots` slots; two updates, the last one is
// given.
std::vector<std::vector<float>> reduce(int size, std::int64_t num_slots) {
  constexpr std::size_t kCount = 200;
  std::vector<std::vector<float>> totals(static_cast<std::size_t>(size),
                                         std::vector<float>(kCount));
  testing::run_ranks(size, [&](comm::Communicator& group) {
    at::Tensor gradient = at::zeros({kCount});
    const auto reducer = train::make_slot_order_reducer(group, gradient);
    for (const std::int64_t shift : {50, 0}) {
      reducer->start(num_slots);
      for (std::int64_t first = 0; first < num_slots; first += group.size()) {
        const std::int64_t slot = first + group.rank();
        if (slot < num_slots) {
          reducer->before_slot(false);
          gradient.add_(at::tensor(slot_gradient(slot + shift, kCount)));
          reducer->after_slot();
        }
        reducer->add_round(slot < num_slots);
      }
      reducer->finish();
    }
    totals[static_cast<std::size_t>(group.rank())].assign(
        gradient.data_ptr<float>(), gradient.data_ptr<float>() + gradient.numel());
  });
  return totals;
}

TEST(GradientReducer, SlotOrderSumsAreThePlainSumOnEveryNumberOfRanks) {
  for (const std::int64_t num_slots : {1, 2, 5, 8}) {
    std::vector<float> plain(200);
    for (std::int64_t slot = 0; slot < num_slots; ++slot) {
      const std::vector<float> values = slot_gradient(slot, plain.size());
      for (std::size_t i = 0; i < plain.size(); ++i) {
        plain[i] = slot == 0 ? values[i] : plain[i] + values[i];
      }
    }
    for (const int size : {1, 2, 3, 4}) {
      for (const std::vector<float>& total : reduce(size, num_slots)) {
        EXPECT_EQ(total, plain) << size << " ranks, " << num_slots << " slots";
      }
    }
  }
}

TEST(NewAdapter, StartsAsPeftDoes) {
  const train::AdapterShape shape{
      2,
      {{32, 16}, {8, 16}, {8, 16}, {16, 32}, {64, 16}, {64, 16}, {16, 64}},
      {"down_proj", "q_proj"},
      4};
  const std::vector<expert::NamedArray> arrays = train::new_adapter_arrays(shape, 5);
  ASSERT_EQ(arrays.size(), 8U);
  EXPECT_EQ(arrays[0].name, expert::peft_key(0, "q_proj", 'A'));
  EXPECT_EQ(arrays[0].shape, (std::vector<std::int64_t>{4, 16}));
  EXPECT_EQ(arrays[3].name, expert::peft_key(0, "down_proj", 'B'));
  EXPECT_EQ(arrays[3].shape, (std::vector<std::int64_t>{16, 4}));
  for (const expert::NamedArray& array : arrays) {
    const bool is_b = array.name.find("lora_B") != std::string::npos;
    const double bound = is_b ? 0.0 : 1.0 / std::sqrt(static_cast<double>(array.shape[1]));
    double largest = 0;
    double sum_of_squares = 0;
    for (const float value : array.values) {
      largest = std::max(largest, std::abs(static_cast<double>(value)));
      sum_of_squares += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_EQ(array.values.size(), static_cast<std::size_t>(array.shape[0] * array.shape[1]));
    EXPECT_LE(largest, bound);
    if (!is_b) {
      EXPECT_GT(largest, 0.8 * bound);
      // A uniform distribution's variance is a third of its bound squared.
      EXPECT_NEAR(sum_of_squares / static_cast<double>(array.values.size()), bound * bound / 3,
                  bound * bound / 8);
    }
  }
  EXPECT_EQ(train::new_adapter_arrays(shape, 5)[0].values, arrays[0].values);
  EXPECT_NE(train::new_adapter_arrays(shape, 6)[0].values, arrays[0].values);
  EXPECT_NE(arrays[4].values, arrays[0].values) << "each layer has a stream of its own";
}

}  // namespace
}  // namespace baton::test
