#include "baton/coordinator/group_plan.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using RankLists = std::vector<std::vector<int>>;

/// Ranks 0, 1, ... on nodes of the given sizes, one node after another.
std::vector<int> nodes_of(const std::vector<int>& sizes) {
  std::vector<int> node_of_rank;
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    node_of_rank.insert(node_of_rank.end(), static_cast<std::size_t>(sizes[n]),
                        static_cast<int>(n));
  }
  return node_of_rank;
}

PlanRequest request_of(const std::vector<double>& costs, const std::vector<int>& node_sizes) {
  PlanRequest request;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    request.experts.push_back({fmt::format("e{}", i), costs[i], 0});
  }
  request.node_of_rank = nodes_of(node_sizes);
  return request;
}

std::vector<std::vector<int>> experts_of(const GroupPlan& plan) {
  std::vector<std::vector<int>> lists;
  for (const PlannedGroup& group : plan.groups) {
    lists.push_back(group.experts);
  }
  return lists;
}

std::string usage_error_of(const PlanRequest& request) {
  try {
    make_group_plan(request);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(GroupPlan, AutoGivesEachExpertItsRankWhereTheyAreEqual) {
  const GroupPlan plan = make_group_plan(request_of({10, 40, 20}, {3}));
  EXPECT_EQ(rank_lists(plan), (RankLists{{0}, {1}, {2}}));
  EXPECT_EQ(experts_of(plan), (RankLists{{1}, {2}, {0}}));  // biggest first to the first free group
  EXPECT_DOUBLE_EQ(plan.makespan, 40);
  EXPECT_THAT(plan.idle_ranks, IsEmpty());
  EXPECT_EQ(group_of_expert(plan, 0), 2);
  EXPECT_EQ(group_of_expert(plan, 7), -1);
}

TEST(GroupPlan, BiggestFirstByHand) {
  // Costs 7 6 5 4 3 on two single ranks: 7|6, 5 to the second (11), 4 to the first (11), 3 to the
  // first on the tie (14). Sum 25, bound 12.5.
  PlanRequest request = request_of({3, 7, 4, 6, 5}, {2});
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(experts_of(plan), (RankLists{{1, 2, 0}, {3, 4}}));
  EXPECT_DOUBLE_EQ(plan.groups[0].token_steps, 14);
  EXPECT_DOUBLE_EQ(plan.groups[1].token_steps, 11);
  EXPECT_DOUBLE_EQ(plan.makespan, 14);
  EXPECT_DOUBLE_EQ(plan.lower_bound, 12.5);
}

TEST(GroupPlan, UnequalGroupsAreWeighedByTheirRanks) {
  // Three ranks in two groups: 2 + 1. Costs 12 and 6: 12 takes 6 on the pair (12 alone), 6 takes 6
  // alone.
  PlanRequest request = request_of({6, 12}, {3});
  request.groups = 2;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1}, {2}}));
  EXPECT_EQ(experts_of(plan), (RankLists{{1}, {0}}));
  EXPECT_DOUBLE_EQ(plan.makespan, 6);
  EXPECT_DOUBLE_EQ(plan.lower_bound, 6);  // 18 / 3
}

TEST(GroupPlan, SlotsLimitTheSpeedUp) {
  // One expert of cost 100 in 4 slots: on 3 ranks two rounds of four, so 50; on 4 and on 8
  // ranks 25.
  for (const auto& [num_ranks, expected] :
       std::vector<std::pair<int, double>>{{1, 100}, {2, 50}, {3, 50}, {4, 25}, {8, 25}}) {
    PlanRequest request = request_of({100}, {num_ranks});
    request.experts[0].max_useful_ranks = 4;
    const GroupPlan plan = make_group_plan(request);
    ASSERT_EQ(plan.groups.size(), 1u);
    EXPECT_EQ(plan.groups[0].ranks.size(), static_cast<std::size_t>(num_ranks));
    EXPECT_DOUBLE_EQ(plan.makespan, expected) << num_ranks;
    EXPECT_DOUBLE_EQ(plan.lower_bound, expected) << num_ranks;
    EXPECT_EQ(plan.warnings.size(), num_ranks > 4 ? 1u : 0u) << num_ranks;
  }
}

TEST(GroupPlan, GroupsKeepToNodes) {
  // Two nodes of four, three groups of equal experts: 2 + 2 + 4 on borders instead of 3 + 3 + 2
  // across.
  const GroupPlan plan = make_group_plan(request_of({10, 10, 10}, {4, 4}));
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1}, {2, 3}, {4, 5, 6, 7}}));
  for (const PlannedGroup& group : plan.groups) {
    EXPECT_EQ(group.num_nodes, 1);
  }
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(GroupPlan, NodesAreJoinedWhenThereAreFewerGroups) {
  // Four nodes of two, two groups: two whole nodes each, and no warning: a group of four fits into
  // no node.
  const GroupPlan plan = make_group_plan(request_of({10, 10}, {2, 2, 2, 2}));
  ASSERT_EQ(plan.groups.size(), 2u);
  for (const PlannedGroup& group : plan.groups) {
    EXPECT_EQ(group.ranks.size(), 4u);
    EXPECT_EQ(group.num_nodes, 2);
  }
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(GroupPlan, BordersHoldAndTheirPriceIsNamed) {
  // Nodes of 8 and 1, two equal experts of 45: on borders 8 + 1 ranks, best is both on the
  // eight: 11.25. Even 5 + 4 across the border: 45 / 4 = 11.25 as well.
  const GroupPlan held = make_group_plan(request_of({45, 45}, {8, 1}));
  EXPECT_EQ(rank_lists(held), (RankLists{{0, 1, 2, 3, 4, 5, 6, 7}, {8}}));
  EXPECT_DOUBLE_EQ(held.makespan, 11.25);
  EXPECT_EQ(held.warnings.size(), 1u);  // the single rank has nothing to do
  EXPECT_THAT(held.notes, ElementsAre(HasSubstr("groups = 1 is estimated to take 89 %")));
  // With two slots an expert the eight are no quicker than two: 45 on borders, 22.5 when even.
  PlanRequest slots = request_of({45, 45}, {8, 1});
  slots.experts[0].max_useful_ranks = slots.experts[1].max_useful_ranks = 2;
  const GroupPlan dear = make_group_plan(slots);
  EXPECT_EQ(rank_lists(dear), (RankLists{{0, 1, 2, 3, 4, 5, 6, 7}, {8}}));
  EXPECT_DOUBLE_EQ(dear.makespan, 45);
  EXPECT_THAT(dear.notes, ::testing::Contains(
                              HasSubstr("across node borders would be estimated to take 50 %")));
}

TEST(GroupPlan, GroupsThatMustSpanNodesAreNamed) {
  // Asked for 3 groups of 2 on nodes of 3: 01, 34 and, across, 2 with 5.
  PlanRequest request = request_of({1, 1, 1}, {3, 3});
  request.ranks_per_group = 2;
  request.groups = 3;
  const GroupPlan crossed = make_group_plan(request);
  EXPECT_EQ(rank_lists(crossed), (RankLists{{0, 1}, {2, 5}, {3, 4}}));
  EXPECT_THAT(crossed.warnings,
              ElementsAre("1 of 3 groups span nodes though they would fit into one: 1"));
  // Not asked for a number, it keeps inside.
  request.groups.reset();
  const GroupPlan inside = make_group_plan(request);
  EXPECT_EQ(rank_lists(inside), (RankLists{{0, 1}, {3, 4}}));
  EXPECT_THAT(inside.idle_ranks, ElementsAre(2, 5));
  // No node has four.
  request.ranks_per_group = 4;
  EXPECT_THAT(make_group_plan(request).notes,
              ElementsAre("1 of 1 groups span nodes, as no node has so many ranks: 0"));
}

TEST(GroupPlan, FewLongExpertsGetLargerGroupsWithoutAsking) {
  // One of 100 beside seven of 4, eight ranks: 100 on single ranks; 128 / 8 = 16 on all together.
  // Halving: 4 groups of 2 take 50, not less than half; 2 groups of 4 25; 1 group of 8 16, not less
  // than half of that.
  const GroupPlan plan = make_group_plan(request_of({100, 4, 4, 4, 4, 4, 4, 4}, {8}));
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1, 2, 3}, {4, 5, 6, 7}}));
  EXPECT_DOUBLE_EQ(plan.makespan, 25);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("groups = 1 is estimated to take 64 %")));
  // Over node borders it is not done: two nodes of four are as far as it goes, with one of each.
  const GroupPlan nodes =
      make_group_plan(request_of({100, 4, 4, 4, 4, 4, 4, 4}, {1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(nodes.groups.size(), 8u);
  // A slot an update leaves nothing for larger groups to do.
  PlanRequest slots = request_of({100, 4, 4, 4, 4, 4, 4, 4}, {8});
  for (ExpertCost& expert : slots.experts) {
    expert.max_useful_ranks = 1;
  }
  EXPECT_EQ(make_group_plan(slots).groups.size(), 8u);
}

// ---- a rank that only coordinates

TEST(GroupPlan, DedicatedCoordinatorIsInNoGroup) {
  PlanRequest request = request_of({10, 10, 10}, {2, 2});
  request.has_dedicated_coordinator = true;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(rank_lists(plan), (RankLists{{1}, {2}, {3}}));
  EXPECT_EQ(plan.coordinator_rank, 0);
  EXPECT_THAT(plan.idle_ranks, IsEmpty());
  EXPECT_THAT(plan.warnings, IsEmpty());
  EXPECT_DOUBLE_EQ(plan.lower_bound, 10);  // three workers
  EXPECT_THAT(plan_text(plan, request), HasSubstr("rank 0 coordinates and trains nothing"));
  EXPECT_EQ(plan_json(plan, request)["coordinator_rank"], 0);
  request.has_dedicated_coordinator = false;
  EXPECT_TRUE(plan_json(make_group_plan(request), request)["coordinator_rank"].is_null());

  request.has_dedicated_coordinator = true;
  request.ranks_per_group = 2;
  const GroupPlan pairs = make_group_plan(request);
  EXPECT_EQ(rank_lists(pairs), (RankLists{{2, 3}}));
  EXPECT_THAT(pairs.idle_ranks, ElementsAre(1));
}

TEST(GroupPlan, DedicatedCoordinatorNeedsAnotherRank) {
  PlanRequest request = request_of({10}, {1});
  request.has_dedicated_coordinator = true;
  const std::string text = usage_error_of(request);
  EXPECT_THAT(text, HasSubstr("at least 2 ranks with coordinator = dedicated"));
  EXPECT_THAT(text, HasSubstr("found:    1 rank"));
  EXPECT_THAT(text, HasSubstr("coordinator = shared"));
  request.node_of_rank = {0, 0, 0};
  request.groups = 3;
  const std::string groups = usage_error_of(request);
  EXPECT_THAT(groups, HasSubstr("at most 2 ranks (all but the dedicated coordinator)"));
  EXPECT_THAT(groups, HasSubstr("use groups = 2 or less, or start 4 ranks"));
}

// ---- the fast mode: sizes that divide the batch

TEST(GroupPlan, FastModeRefusesSizesThatDoNotDivideTheBatch) {
  PlanRequest request = request_of({10, 10}, {8});
  request.is_deterministic = false;
  request.train_batch_size = 8;
  request.ranks_per_group = 3;
  const std::string text = usage_error_of(request);
  EXPECT_THAT(text, HasSubstr("train_batch_size = 8"));
  EXPECT_THAT(text, HasSubstr("ranks_per_group = 3"));
  EXPECT_THAT(text, HasSubstr("use ranks_per_group = 2 or 4"));
  EXPECT_THAT(text, HasSubstr("deterministic = true"));
  request.train_batch_size = 6;
  request.ranks_per_group = 5;
  EXPECT_THAT(usage_error_of(request), HasSubstr("use ranks_per_group = 3 or 6"));
  request.train_batch_size = 12;
  request.ranks_per_group = 8;  // 12 would, but there are eight ranks
  EXPECT_THAT(usage_error_of(request), HasSubstr("use ranks_per_group = 6, another"));
  request.ranks_per_group = 4;
  EXPECT_EQ(make_group_plan(request).groups.size(), 2u);
  // The deterministic mode takes any size.
  request.ranks_per_group = 5;
  request.is_deterministic = true;
  EXPECT_EQ(make_group_plan(request).groups.size(), 1u);
}

TEST(GroupPlan, FastModePicksDividingSizes) {
  // Seven ranks, one expert, 8 rows an update: four of them.
  PlanRequest request = request_of({10}, {7});
  request.is_deterministic = false;
  request.train_batch_size = 8;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1, 2, 3}}));
  EXPECT_THAT(plan.idle_ranks, ElementsAre(4, 5, 6));
  EXPECT_DOUBLE_EQ(plan.makespan, 2.5);
  // Nodes of 1 and 4 in one group: the four stay, although rank 0 comes first.
  PlanRequest nodes = request_of({10}, {1, 4});
  nodes.is_deterministic = false;
  nodes.train_batch_size = 8;
  const GroupPlan inside = make_group_plan(nodes);
  EXPECT_EQ(rank_lists(inside), (RankLists{{1, 2, 3, 4}}));
  EXPECT_EQ(inside.groups[0].num_nodes, 1);
}

TEST(GroupPlan, WavesSayWhatStartsWhen) {
  // 7 6 5 4 3 on two single ranks: 7 and 6 at once; 5 after the 6 (6 to 11), 4 after the 7 (7 to
  // 11); 3 after that, on the lower group (11 to 14).
  PlanRequest request = request_of({3, 7, 4, 6, 5}, {2});
  request.groups = 2;
  const GroupPlan plan = make_group_plan(request);
  std::vector<std::string> starts;
  for (const PlannedStart& start : plan.starts) {
    starts.push_back(fmt::format("e{} on {} wave {}: {} to {}", start.expert, start.group,
                                 start.wave, start.begin, start.end));
  }
  EXPECT_THAT(starts, ElementsAre("e1 on 0 wave 0: 0 to 7", "e3 on 1 wave 0: 0 to 6",
                                  "e4 on 1 wave 1: 6 to 11", "e2 on 0 wave 1: 7 to 11",
                                  "e0 on 0 wave 2: 11 to 14"));
  EXPECT_THAT(plan_text(plan, request), HasSubstr("e4 on 1, e2 on 0"));
  const base::OrderedJson waves = plan_json(plan, request)["waves"];
  ASSERT_EQ(waves.size(), 3u);
  EXPECT_EQ(waves[1][0]["expert"], "e4");
  EXPECT_EQ(waves[2][0]["begin_token_steps"], 11.0);
}

TEST(GroupPlan, InterleavedRanksAreGroupedByNode) {
  PlanRequest request = request_of({5, 5}, {});
  request.node_of_rank = {0, 1, 0, 1};
  EXPECT_EQ(rank_lists(make_group_plan(request)), (RankLists{{0, 2}, {1, 3}}));
}

TEST(GroupPlan, FixedSizesFillNodesFirstAndNameWhatIsLeft) {
  // Nodes of 5 and 4, groups of 2: 01 23 56 78, rank 4 left over.
  PlanRequest request = request_of({1, 1, 1, 1, 1}, {5, 4});
  request.ranks_per_group = 2;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1}, {2, 3}, {5, 6}, {7, 8}}));
  EXPECT_THAT(plan.idle_ranks, ElementsAre(4));
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("1 of 9 ranks are left over and only wait: 4")));
}

TEST(GroupPlan, FixedSizesMakeNoMoreGroupsThanExperts) {
  PlanRequest request = request_of({1, 1}, {8});
  request.ranks_per_group = 2;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(plan.groups.size(), 2u);
  EXPECT_THAT(plan.idle_ranks, ElementsAre(4, 5, 6, 7));
}

TEST(GroupPlan, FixedSizesLargerThanANodeSpanAsFewAsTheyCan) {
  PlanRequest request = request_of({1, 1}, {2, 2, 2, 2});
  request.ranks_per_group = 4;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(rank_lists(plan), (RankLists{{0, 1, 2, 3}, {4, 5, 6, 7}}));
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(GroupPlan, MoreGroupsThanExpertsIsWarnedAbout) {
  PlanRequest request = request_of({1}, {3});
  request.groups = 3;
  const GroupPlan plan = make_group_plan(request);
  EXPECT_EQ(plan.groups.size(), 3u);
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("2 of 3 groups have no expert to train: 1-2")));
}

TEST(GroupPlan, ImpossibleWishesNameTheNearestPossibilities) {
  PlanRequest request = request_of({1, 1, 1}, {7});
  request.groups = 3;
  request.ranks_per_group = 3;
  const std::string text = usage_error_of(request);
  EXPECT_THAT(text, HasSubstr("3 groups of 3 ranks need 9"));
  EXPECT_THAT(text, HasSubstr("groups = 2 with ranks_per_group = 3"));
  EXPECT_THAT(text, HasSubstr("groups = 3 with ranks_per_group = 2"));
  request.ranks_per_group = 8;
  request.groups.reset();
  EXPECT_THAT(usage_error_of(request), HasSubstr("ranks_per_group = 7 or less, or start 8 ranks"));
  request.ranks_per_group.reset();
  request.groups = 8;
  EXPECT_THAT(usage_error_of(request), HasSubstr("groups = 7 or less"));
  request.groups = 0;
  EXPECT_THAT(usage_error_of(request), HasSubstr("groups = 0"));
}

TEST(GroupPlan, AQuickerNumberOfGroupsIsNamed) {
  // Five equal experts on four ranks: four groups need two waves (20), one group of four 5 * 10 / 4
  // = 12.5.
  const GroupPlan plan = make_group_plan(request_of({10, 10, 10, 10, 10}, {4}));
  EXPECT_DOUBLE_EQ(plan.makespan, 20);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("groups = 1 is estimated to take 62 %")));
}

TEST(GroupPlan, NothingToTrain) {
  const GroupPlan plan = make_group_plan(request_of({}, {2}));
  EXPECT_THAT(plan.groups, IsEmpty());
  EXPECT_THAT(plan.idle_ranks, ElementsAre(0, 1));
  EXPECT_THAT(plan.notes, ElementsAre("nothing to train"));
}

TEST(GroupPlan, TextAndJsonShowTheSamePlan) {
  PlanRequest request = request_of({10, 40, 20}, {3, 2});
  request.ranks_per_group = 2;
  const GroupPlan plan = make_group_plan(request);
  const std::string text = plan_text(plan, request);
  for (const char* part : {"0-1", "3-4", "e1", "e2, e0", "left over", "estimated time"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  const base::OrderedJson json = plan_json(plan, request);
  EXPECT_EQ(json["groups"].size(), 2u);
  EXPECT_EQ(json["groups"][1]["experts"], (std::vector<std::string>{"e2", "e0"}));
  EXPECT_EQ(json["idle_ranks"], std::vector<int>{2});
  EXPECT_EQ(json["makespan_token_steps"], 20.0);
  EXPECT_EQ(format_ranks({0, 1, 2, 4, 6, 7}), "0-2,4,6-7");
  EXPECT_EQ(format_ranks({}), "");
}

/// What must hold of every plan, whatever was asked.
void check_plan(const PlanRequest& request, const GroupPlan& plan) {
  std::set<int> ranks(plan.idle_ranks.begin(), plan.idle_ranks.end());
  std::size_t num_ranks = plan.idle_ranks.size();
  const std::size_t num_coordinators = request.has_dedicated_coordinator ? 1 : 0;
  EXPECT_EQ(plan.coordinator_rank.has_value(), request.has_dedicated_coordinator);
  EXPECT_EQ(plan.starts.size(), request.experts.size());
  std::vector<int> experts;
  double makespan = 0;
  double sum = 0;
  for (const PlannedGroup& group : plan.groups) {
    ASSERT_FALSE(group.ranks.empty());
    EXPECT_TRUE(std::is_sorted(group.ranks.begin(), group.ranks.end()));
    if (!request.is_deterministic) {
      EXPECT_EQ(static_cast<std::size_t>(request.train_batch_size) % group.ranks.size(), 0u);
    }
    ranks.insert(group.ranks.begin(), group.ranks.end());
    num_ranks += group.ranks.size();
    experts.insert(experts.end(), group.experts.begin(), group.experts.end());
    double time = 0;
    for (std::size_t i = 0; i < group.experts.size(); ++i) {
      const ExpertCost& expert = request.experts[static_cast<std::size_t>(group.experts[i])];
      // The slow obvious twin: deal the slots one by one and look at the fullest rank.
      std::vector<int> held(group.ranks.size(), 0);
      for (int slot = 0; slot < expert.max_useful_ranks; ++slot) {
        ++held[static_cast<std::size_t>(slot) % held.size()];
      }
      time += expert.max_useful_ranks == 0 ? expert.token_steps / static_cast<double>(held.size())
                                           : expert.token_steps / expert.max_useful_ranks *
                                                 *std::max_element(held.begin(), held.end());
      sum += expert.token_steps;
      if (i > 0) {
        EXPECT_GE(request.experts[static_cast<std::size_t>(group.experts[i - 1])].token_steps,
                  expert.token_steps);
      }
    }
    EXPECT_NEAR(group.token_steps, time, 1e-9 * (1 + time));
    makespan = std::max(makespan, time);
  }
  EXPECT_EQ(num_ranks, request.node_of_rank.size() - num_coordinators);
  EXPECT_EQ(ranks.size(), num_ranks);  // every rank once
  EXPECT_TRUE(num_coordinators == 0 || !ranks.contains(0));
  std::sort(experts.begin(), experts.end());
  std::vector<int> all(request.experts.size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(experts, all);  // every expert once
  EXPECT_NEAR(plan.makespan, makespan, 1e-9 * (1 + makespan));
  EXPECT_GE(plan.makespan, plan.lower_bound * (1 - 1e-12));
  EXPECT_GE(plan.lower_bound, sum / static_cast<double>(num_ranks) * (1 - 1e-12));
}

TEST(GroupPlan, PropertiesHoldForRandomRequests) {
  base::Random random(base::seed_for(7, {"group_plan_test"}));
  for (int round = 0; round < 3000; ++round) {
    std::vector<int> nodes;
    for (std::uint64_t n = 1 + random.below(5); n > 0; --n) {
      nodes.push_back(1 + static_cast<int>(random.below(9)));
    }
    PlanRequest request = request_of({}, nodes);
    for (std::uint64_t n = 1 + random.below(20); n > 0; --n) {
      request.experts.push_back(
          {"e", static_cast<double>(random.below(1000)), static_cast<int>(random.below(9))});
    }
    request.has_dedicated_coordinator = request.node_of_rank.size() > 1 && random.below(3) == 0;
    const auto num_ranks =
        request.node_of_rank.size() - (request.has_dedicated_coordinator ? 1 : 0);
    request.is_deterministic = random.below(3) > 0;
    request.train_batch_size = 1 + static_cast<int>(random.below(16));
    if (random.below(2) == 1) {
      request.groups = 1 + static_cast<int>(random.below(num_ranks));
    }
    if (random.below(2) == 1) {
      const std::uint64_t most = num_ranks / static_cast<std::uint64_t>(request.groups.value_or(1));
      request.ranks_per_group = 1 + static_cast<int>(random.below(most));
      if (!request.is_deterministic && request.train_batch_size % *request.ranks_per_group != 0) {
        usage_error_of(request);
        continue;
      }
    }
    const GroupPlan plan = make_group_plan(request);
    check_plan(request, plan);
    if (!request.ranks_per_group && request.is_deterministic) {
      EXPECT_TRUE(plan.idle_ranks.empty());
    }
    if (!request.groups && !request.ranks_per_group) {
      EXPECT_LE(plan.groups.size(), std::min(request.experts.size(), num_ranks));
    }
    if (request.groups) {
      EXPECT_EQ(plan.groups.size(), static_cast<std::size_t>(*request.groups));
    }
    if (::testing::Test::HasFailure()) {
      FAIL() << "round " << round;
    }
  }
}

TEST(GroupPlan, EqualRanksAndNoSlotsStayWithinFourThirdsOfTheBound) {
  // Graham's bound for biggest-first on m equal machines, 4/3 - 1/(3 m), against the optimum; the
  // optimum is at least our lower bound for groups of one rank: max(mean, largest).
  base::Random random(base::seed_for(8, {"group_plan_test"}));
  for (int round = 0; round < 200; ++round) {
    const int num_ranks = 2 + static_cast<int>(random.below(6));
    PlanRequest request = request_of({}, {num_ranks});
    double sum = 0;
    std::vector<double> costs;
    for (int i = 0; i < 10 * num_ranks; ++i) {
      costs.push_back(1 + static_cast<double>(random.below(100)));
      request.experts.push_back({"e", costs.back(), 1});
      sum += costs.back();
    }
    request.groups = num_ranks;
    const GroupPlan plan = make_group_plan(request);
    // With many small parts the list rule is near the mean: mean + largest part at the very most.
    EXPECT_LE(plan.makespan, sum / num_ranks + *std::max_element(costs.begin(), costs.end()));
    EXPECT_LE(plan.makespan, 4.0 / 3.0 * plan.lower_bound);
  }
}

TEST(GroupPlan, AThousandRanksAndTasksInUnderASecond) {
  base::Random random(base::seed_for(9, {"group_plan_test"}));
  PlanRequest request = request_of({}, std::vector<int>(128, 8));
  for (int i = 0; i < 1000; ++i) {
    request.experts.push_back(
        {fmt::format("e{}", i), 1.0 + static_cast<double>(random.below(100000)), 16});
  }
  const std::clock_t start = std::clock();  // of this process, whatever else the machine does
  const GroupPlan plan = make_group_plan(request);
  const std::string shown = plan_text(plan, request) + plan_json(plan, request).dump();
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  check_plan(request, plan);
  EXPECT_EQ(plan.groups.size(), 1000u);
  EXPECT_THAT(shown, HasSubstr("e999"));
  EXPECT_LT(seconds, 1.0);
}

}  // namespace
}  // namespace baton::coordinator
