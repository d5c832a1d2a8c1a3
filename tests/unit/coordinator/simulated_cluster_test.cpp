#include "unit/coordinator/simulated_cluster.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "baton/coordinator/group_plan.hpp"

namespace baton::coordinator {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<WorkItem> items_of(const std::vector<double>& costs) {
  std::vector<WorkItem> items;
  for (const double cost : costs) {
    items.push_back({fmt::format("item{}", items.size()), cost, 0, {}});
  }
  return items;
}

SimulationResult simulate(const std::vector<WorkItem>& items,
                          const std::vector<int>& sizes,
                          const SimulationOptions& options = {}) {
  return SimulatedCluster(items, sizes, options,
                          [&](int item, int group) {
                            return items[static_cast<std::size_t>(item)].cost /
                                   sizes[static_cast<std::size_t>(group)];
                          })
      .run();
}

// ---- the distance to the best possible schedule

/// No schedule of these costs on `num_groups` equal groups can be shorter: the longest cost; the
/// mean load; and, as one group must take k + 1 of any k * groups + 1, the k + 1 smallest of that
/// many longest.
double lower_bound_of(std::vector<double> costs, std::size_t num_groups) {
  std::sort(costs.begin(), costs.end(), std::greater<>());
  std::vector<double> sums(costs.size() + 1, 0);
  std::partial_sum(costs.begin(), costs.end(), sums.begin() + 1);
  double bound = std::max(costs.front(), sums.back() / static_cast<double>(num_groups));
  for (std::size_t k = 1; k * num_groups + 1 <= costs.size(); ++k) {
    const std::size_t end = k * num_groups + 1;
    bound = std::max(bound, sums[end] - sums[end - k - 1]);
  }
  return bound;
}

double lognormal(base::Random& random, double sigma) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return std::exp(sigma * radius * std::cos(2 * 3.14159265358979323846 * random.uniform()));
}

enum class Shape { kUniform, kNarrow, kLognormal, kHeavyTail, kFewSizes };
const std::map<Shape, std::string> kShapeNames{{Shape::kUniform, "uniform 0..1"},
                                               {Shape::kNarrow, "uniform 0.5..1"},
                                               {Shape::kLognormal, "lognormal, sigma 1"},
                                               {Shape::kHeavyTail, "lognormal, sigma 2"},
                                               {Shape::kFewSizes, "2 to 5 sizes out of 1..10"}};

std::vector<double> random_costs(base::Random& random, Shape shape, std::size_t count) {
  std::vector<double> sizes(2 + random.below(4));
  for (double& size : sizes) {
    size = 1 + static_cast<double>(random.below(10));
  }
  std::vector<double> costs(count);
  for (double& cost : costs) {
    switch (shape) {
      case Shape::kUniform:
        cost = random.uniform();
        break;
      case Shape::kNarrow:
        cost = 0.5 + random.uniform() / 2;
        break;
      case Shape::kLognormal:
        cost = lognormal(random, 1);
        break;
      case Shape::kHeavyTail:
        cost = lognormal(random, 2);
        break;
      case Shape::kFewSizes:
        cost = sizes[random.below(sizes.size())];
        break;
    }
  }
  return costs;
}

TEST(SimulatedCluster, BoundByHand) {
  EXPECT_DOUBLE_EQ(lower_bound_of({9, 1, 1}, 2), 9);  // the longest
  EXPECT_DOUBLE_EQ(lower_bound_of({4, 4, 4, 2, 2}, 2),
                   8);                                 // mean 8; two of the three 4s share a group
  EXPECT_DOUBLE_EQ(lower_bound_of({5, 5, 5}, 2), 10);  // k = 1: 5 + 5; the mean is 7.5
  EXPECT_DOUBLE_EQ(lower_bound_of({4, 4, 4, 4, 4}, 2), 12);  // k = 2: three of five; the mean is 10
  EXPECT_DOUBLE_EQ(lower_bound_of({7, 6, 5, 4}, 3), 9);      // k = 1: 5 + 4
}

TEST(SimulatedCluster, ClassicWorstCaseOfLongestFirst) {
  // Two groups, 3 3 2 2 2: 3+2+2 = 7 against 6 (3+3 | 2+2+2).
  EXPECT_DOUBLE_EQ(simulate(items_of({2, 3, 2, 3, 2}), {1, 1}).makespan, 7);
}

TEST(SimulatedCluster, MakespanOverTheLowerBoundOfRandomTaskSets) {
  constexpr int kNumSets = 1000;
  base::Random random(base::seed_for(4, {"simulated cluster", "task sets"}));
  std::vector<double> ratios;
  std::map<Shape, std::vector<double>> by_shape;
  for (int set = 0; set < kNumSets; ++set) {
    // Groups from 8 to 1,024, every doubling alike; one to ten items a group, any number between.
    const auto groups = static_cast<std::size_t>(std::lround(8 * std::exp2(7 * random.uniform())));
    const std::size_t count = groups + random.below(9 * groups + 1);
    const auto shape = static_cast<Shape>(set % 5);
    const std::vector<double> costs = random_costs(random, shape, count);
    const std::vector<WorkItem> items = items_of(costs);
    const SimulationResult result = simulate(items, std::vector<int>(groups, 1));
    ASSERT_TRUE(result.everyone_left);
    ASSERT_THAT(result.broken_promises, IsEmpty());
    ASSERT_EQ(std::count(result.num_done.begin(), result.num_done.end(), 1),
              static_cast<std::ptrdiff_t>(count));
    const double ratio = result.makespan / lower_bound_of(costs, groups);
    ASSERT_GE(ratio, 1 - 1e-9);
    ratios.push_back(ratio);
    by_shape[shape].push_back(ratio);
  }
  const auto median_and_worst = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return std::pair(values[values.size() / 2], values.back());
  };
  for (const auto& [shape, values] : by_shape) {
    const auto [median, worst] = median_and_worst(values);
    std::cout << fmt::format("{:>4} sets, {:<26} median {:.4f} worst {:.4f}\n", values.size(),
                             kShapeNames.at(shape), median, worst);
  }
  const auto [median, worst] = median_and_worst(ratios);
  std::cout << fmt::format(
      "makespan / lower bound of {} task sets on 8 to 1,024 groups, 1 to 10 items a group: median "
      "{:.4f}, worst {:.4f}\n",
      ratios.size(), median, worst);
  EXPECT_LE(median, 1.05);
  EXPECT_LE(worst, 1.34);
}

// ---- what the queue promises, whatever happens

void expect_promises(const SimulationResult& result, const std::vector<WorkItem>& items) {
  EXPECT_TRUE(result.everyone_left);
  EXPECT_THAT(result.broken_promises, IsEmpty());
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(result.num_done[i], result.states[i] == ItemState::kDone ? 1 : 0) << "item " << i;
    EXPECT_NE(result.states[i], ItemState::kRunning) << "item " << i;
  }
}

/// Random items with random prerequisites among earlier ones.
std::vector<WorkItem> random_items(base::Random& random, std::size_t count, double link_rate) {
  std::vector<WorkItem> items = items_of(random_costs(random, Shape::kLognormal, count));
  for (std::size_t i = 1; i < count; ++i) {
    items[i].max_useful_ranks = static_cast<int>(random.below(6));
    while (random.uniform() < link_rate) {
      items[i].after.push_back(static_cast<int>(random.below(i)));
    }
  }
  return items;
}

std::vector<int> random_sizes(base::Random& random, std::size_t count) {
  std::vector<int> sizes(count, 1 + static_cast<int>(random.below(4)));
  if (random.below(2) == 0) {
    for (int& size : sizes) {
      size = 1 + static_cast<int>(random.below(8));
    }
  }
  return sizes;
}

TEST(SimulatedCluster, FailuresThatAreRetriedLoseNothing) {
  base::Random random(11);
  for (int round = 0; round < 300; ++round) {
    const std::vector<WorkItem> items = random_items(random, 1 + random.below(60), 0.3);
    const std::vector<int> sizes = random_sizes(random, 1 + random.below(20));
    SimulationOptions options;
    options.seed = random.bits();
    options.max_delay = round % 2 == 0 ? 0 : 0.2;
    options.max_start = 1;
    options.failure_rate = 0.3;
    options.max_attempts = 1000;
    const SimulationResult result = simulate(items, sizes, options);
    expect_promises(result, items);
    EXPECT_THAT(result.num_done, Each(1)) << "round " << round;
    EXPECT_THAT(result.states, Each(ItemState::kDone));
  }
}

TEST(SimulatedCluster, FailuresForGoodGiveUpExactlyWhatNeedsThem) {
  base::Random random(12);
  int num_given_up = 0;
  for (int round = 0; round < 300; ++round) {
    const std::vector<WorkItem> items = random_items(random, 1 + random.below(60), 0.4);
    const std::vector<int> sizes = random_sizes(random, 1 + random.below(20));
    SimulationOptions options;
    options.seed = random.bits();
    options.max_delay = 0.1;
    options.failure_rate = 0.3;
    options.retryable_share = 0.7;
    const SimulationResult result = simulate(items, sizes, options);
    expect_promises(result, items);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool is_missing_one =
          std::any_of(items[i].after.begin(), items[i].after.end(), [&](int needed) {
            return result.states[static_cast<std::size_t>(needed)] != ItemState::kDone;
          });
      EXPECT_EQ(result.states[i] == ItemState::kGivenUp, is_missing_one) << "item " << i;
      EXPECT_EQ(result.num_attempts[i] == 0, is_missing_one) << "item " << i;
      num_given_up += is_missing_one ? 1 : 0;
    }
  }
  EXPECT_GT(num_given_up, 100);
}

TEST(SimulatedCluster, StopsAndSignalsAtAnyMomentEndTheWorld) {
  base::Random random(13);
  int num_left_over = 0;
  for (int round = 0; round < 1000; ++round) {
    const std::vector<WorkItem> items = random_items(random, random.below(40), 0.2);
    const std::vector<int> sizes = random_sizes(random, 1 + random.below(12));
    SimulationOptions options;
    options.seed = random.bits();
    options.max_delay =
        round % 3 == 0 ? 0 : 1;  // as long as the work itself, so that messages cross
    options.max_start = 2;
    options.seconds_to_stop = 1;
    options.failure_rate = 0.2;
    options.retryable_share = 0.5;
    if (round % 2 == 0) {
      options.stop_at = 10 * random.uniform();
    }
    for (std::uint64_t s = random.below(4); s > 0; --s) {
      options.signals.emplace_back(10 * random.uniform(),
                                   static_cast<int>(random.below(sizes.size())));
    }
    const SimulationResult result = simulate(items, sizes, options);
    expect_promises(result, items);
    num_left_over +=
        static_cast<int>(std::count(result.states.begin(), result.states.end(), ItemState::kReady));
  }
  EXPECT_GT(num_left_over, 1000);  // the stops did come in the middle
}

// ---- groups of unequal sizes

TEST(SimulatedCluster, UnequalGroupsKeepToThePlan) {
  // Where the estimates hold, the queue ends when the plan says, whatever the sizes.
  base::Random random(14);
  std::vector<double> over_bound;
  for (int round = 0; round < 200; ++round) {
    const std::vector<double> costs = random_costs(random, Shape::kLognormal, 1 + random.below(80));
    std::vector<int> node_of_rank;
    for (std::size_t node = 0; node < 1 + random.below(6); ++node) {
      node_of_rank.insert(node_of_rank.end(), 1 + random.below(12), static_cast<int>(node));
    }
    PlanRequest request;
    request.node_of_rank = node_of_rank;
    request.groups = 1 + static_cast<int>(random.below(node_of_rank.size()));
    std::vector<WorkItem> items = items_of(costs);
    for (WorkItem& item : items) {
      item.max_useful_ranks = static_cast<int>(random.below(9));
      request.experts.push_back({item.name, item.cost, item.max_useful_ranks});
    }
    const GroupPlan plan = make_group_plan(request);
    std::vector<int> sizes;
    for (const PlannedGroup& group : plan.groups) {
      sizes.push_back(static_cast<int>(group.ranks.size()));
    }
    const auto time_of = [&](int item, int group) {
      const WorkItem& work = items[static_cast<std::size_t>(item)];
      const double size = sizes[static_cast<std::size_t>(group)];
      const double slots = work.max_useful_ranks;
      return slots == 0 ? work.cost / size : work.cost * std::ceil(slots / size) / slots;
    };
    const SimulationResult result = SimulatedCluster(items, sizes, {}, time_of).run();
    expect_promises(result, items);
    EXPECT_NEAR(result.makespan, plan.makespan, 1e-9 * plan.makespan) << "round " << round;
    for (std::size_t g = 0; g < sizes.size(); ++g) {
      EXPECT_EQ(result.items_of_group[g], plan.groups[g].experts) << "round " << round;
    }
    over_bound.push_back(result.makespan / plan.lower_bound);
  }
  std::sort(over_bound.begin(), over_bound.end());
  std::cout << fmt::format("unequal groups: makespan / lower bound median {:.3f}, worst {:.3f}\n",
                           over_bound[over_bound.size() / 2], over_bound.back());
}

TEST(SimulatedCluster, UnequalGroupsWithWrongEstimates) {
  // Items take half to twice as long as was said. The queue adapts; the plan's assignment cannot.
  base::Random random(15);
  double queue_sum = 0;
  double plan_sum = 0;
  for (int round = 0; round < 200; ++round) {
    const std::vector<WorkItem> items =
        items_of(random_costs(random, Shape::kUniform, 20 + random.below(60)));
    std::vector<int> sizes(2 + random.below(8));
    PlanRequest request;
    for (std::size_t g = 0; g < sizes.size(); ++g) {
      sizes[g] = 1 + static_cast<int>(random.below(4));
      request.node_of_rank.insert(request.node_of_rank.end(), static_cast<std::size_t>(sizes[g]),
                                  static_cast<int>(g));
    }
    std::vector<double> seconds;
    for (const WorkItem& item : items) {
      request.experts.push_back({item.name, item.cost, 0});
      seconds.push_back(item.cost * std::exp2(2 * random.uniform() - 1));
    }
    request.groups = static_cast<int>(sizes.size());
    const GroupPlan plan = make_group_plan(request);
    sizes.clear();
    double plan_end = 0;
    for (const PlannedGroup& group : plan.groups) {
      sizes.push_back(static_cast<int>(group.ranks.size()));
      double end = 0;
      for (const int item : group.experts) {
        end += seconds[static_cast<std::size_t>(item)] / sizes.back();
      }
      plan_end = std::max(plan_end, end);
    }
    const SimulationResult result =
        SimulatedCluster(items, sizes, {}, [&](int item, int group) {
          return seconds[static_cast<std::size_t>(item)] / sizes[static_cast<std::size_t>(group)];
        }).run();
    expect_promises(result, items);
    queue_sum += result.makespan;
    plan_sum += plan_end;
  }
  std::cout << fmt::format("wrong estimates: the queue needs {:.3f} of the fixed plan's time\n",
                           queue_sum / plan_sum);
  EXPECT_LT(queue_sum, plan_sum);
}

TEST(SimulatedCluster, ALargeAndASmallGroup) {
  // One group of 16 ranks, one of 1; three items of 16: all on the large one is 3, one on the small
  // one 16.
  EXPECT_DOUBLE_EQ(simulate(items_of({16, 16, 16}), {16, 1}).makespan, 3);
  EXPECT_DOUBLE_EQ(simulate(items_of({16, 16, 16}), {1, 16}).makespan, 3);
  EXPECT_THAT(simulate(items_of({16, 2, 16, 16}), {1, 16}).items_of_group,
              ElementsAre(ElementsAre(1), ElementsAre(0, 2, 3)));
}

}  // namespace
}  // namespace baton::coordinator
