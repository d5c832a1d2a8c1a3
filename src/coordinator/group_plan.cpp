#include "baton/coordinator/group_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>
#include <utility>

#include "baton/base/error.hpp"
#include "group_layout.hpp"

namespace baton::coordinator {
namespace {

constexpr double kNodeBorderPrice = 1.1;  // how much longer a plan on node borders may take
constexpr double kWorthMentioning =
    0.9;  // another number of groups is named when it needs less than this

/// Token-steps until a group of `num_ranks` has trained an expert.
double training_time(const ExpertCost& expert, int num_ranks) {
  if (expert.max_useful_ranks <= 0) {
    return expert.token_steps / num_ranks;
  }
  const int slots = expert.max_useful_ranks;
  const int rounds = (slots + num_ranks - 1) / num_ranks;
  return expert.token_steps * rounds / slots;
}

/// Biggest first, each to the group that would finish it first.
void assign_experts(const std::vector<ExpertCost>& experts, std::vector<PlannedGroup>& groups) {
  std::vector<int> order(experts.size());
  std::iota(order.begin(), order.end(), 0);
  const auto cost = [&](int i) { return experts[static_cast<std::size_t>(i)].token_steps; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return cost(a) > cost(b); });
  for (const int index : order) {
    const ExpertCost& expert = experts[static_cast<std::size_t>(index)];
    PlannedGroup* best = nullptr;
    double best_end = 0;
    for (PlannedGroup& group : groups) {
      const double end =
          group.token_steps + training_time(expert, static_cast<int>(group.ranks.size()));
      if (best == nullptr || end < best_end) {
        best = &group;
        best_end = end;
      }
    }
    best->experts.push_back(index);
    best->token_steps = best_end;
  }
}

std::vector<PlannedGroup> groups_from(RankLists lists, const PlanRequest& request) {
  for (std::vector<int>& ranks : lists) {
    std::sort(ranks.begin(), ranks.end());
  }
  std::sort(lists.begin(), lists.end());
  std::vector<PlannedGroup> groups;
  for (std::vector<int>& ranks : lists) {
    std::set<int> nodes;
    for (const int rank : ranks) {
      nodes.insert(request.node_of_rank[static_cast<std::size_t>(rank)]);
    }
    PlannedGroup& group = groups.emplace_back();
    group.ranks = std::move(ranks);
    group.num_nodes = static_cast<int>(nodes.size());
  }
  assign_experts(request.experts, groups);
  return groups;
}

double makespan_of(const std::vector<PlannedGroup>& groups) {
  double longest = 0;
  for (const PlannedGroup& group : groups) {
    longest = std::max(longest, group.token_steps);
  }
  return longest;
}

/// All ranks in `num_groups` groups: on node borders unless that costs too much.
std::vector<PlannedGroup> spread_all_ranks(const PlanRequest& request, int num_groups) {
  std::vector<PlannedGroup> by_node =
      groups_from(node_layout(request.node_of_rank, num_groups), request);
  std::vector<PlannedGroup> even =
      groups_from(even_layout(request.node_of_rank, num_groups), request);
  return makespan_of(by_node) <= kNodeBorderPrice * makespan_of(even) ? by_node : even;
}

[[noreturn]] void refuse(const std::string& found, const std::string& fix, int num_ranks) {
  throw base::Error(
      base::ErrorKind::kUsage, "the ranks cannot form the groups asked for",
      {.where = "cluster.groups, cluster.ranks_per_group",
       .expected = fmt::format("groups x ranks_per_group of at most {} ranks", num_ranks),
       .found = found,
       .fix = fix});
}

void check_request(const PlanRequest& request) {
  const int num_ranks = static_cast<int>(request.node_of_rank.size());
  BATON_ASSERT(num_ranks > 0, std::string("a plan for no ranks"));
  for (const ExpertCost& expert : request.experts) {
    BATON_ASSERT(std::isfinite(expert.token_steps) && expert.token_steps >= 0,
                 fmt::format("cost {} of {}", expert.token_steps, expert.name));
  }
  const auto& groups = request.groups;
  const auto& size = request.ranks_per_group;
  if ((groups && *groups < 1) || (size && *size < 1)) {
    refuse(
        fmt::format("groups = {}, ranks_per_group = {}", groups ? std::to_string(*groups) : "auto",
                    size ? std::to_string(*size) : "auto"),
        "give numbers from 1 on, or auto", num_ranks);
  }
  if (groups && *groups > num_ranks) {
    refuse(fmt::format("groups = {}", *groups),
           fmt::format("use groups = {} or less, or start {} ranks", num_ranks, *groups),
           num_ranks);
  }
  if (size && *size > num_ranks) {
    refuse(fmt::format("ranks_per_group = {}", *size),
           fmt::format("use ranks_per_group = {} or less, or start {} ranks", num_ranks, *size),
           num_ranks);
  }
  if (groups && size && std::int64_t{*groups} * *size > num_ranks) {
    refuse(
        fmt::format("{} groups of {} ranks need {}", *groups, *size, std::int64_t{*groups} * *size),
        fmt::format("use groups = {} with ranks_per_group = {}, or groups = {} with "
                    "ranks_per_group = {}, or "
                    "start {} ranks",
                    num_ranks / *size, *size, *groups, num_ranks / *groups,
                    std::int64_t{*groups} * *size),
        num_ranks);
  }
}

double lower_bound_of(const std::vector<ExpertCost>& experts, int num_ranks) {
  double sum = 0;
  double longest = 0;
  for (const ExpertCost& expert : experts) {
    sum += expert.token_steps;
    longest = std::max(longest, training_time(expert, num_ranks));
  }
  return std::max(sum / num_ranks, longest);
}

void warn(GroupPlan& plan, const PlanRequest& request) {
  if (!plan.idle_ranks.empty()) {
    plan.warnings.push_back(fmt::format("{} of {} ranks are left over and only wait: {}",
                                        plan.idle_ranks.size(), request.node_of_rank.size(),
                                        format_ranks(plan.idle_ranks)));
  }
  std::vector<std::string> empty;
  std::vector<std::string> spanning;
  std::vector<std::string> waiting;
  const RankLists nodes = ranks_by_node(request.node_of_rank);
  std::size_t largest_node = 0;
  for (const std::vector<int>& node : nodes) {
    largest_node = std::max(largest_node, node.size());
  }
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const PlannedGroup& group = plan.groups[g];
    if (group.experts.empty()) {
      empty.push_back(std::to_string(g));
      continue;
    }
    if (group.num_nodes > 1 && group.ranks.size() <= largest_node) {
      spanning.push_back(std::to_string(g));
    }
    const bool some_wait = std::all_of(group.experts.begin(), group.experts.end(), [&](int index) {
      const int slots = request.experts[static_cast<std::size_t>(index)].max_useful_ranks;
      return slots > 0 && std::cmp_less(slots, group.ranks.size());
    });
    if (some_wait) {
      waiting.push_back(std::to_string(g));
    }
  }
  if (!empty.empty()) {
    plan.warnings.push_back(fmt::format("{} of {} groups have no expert to train: {}", empty.size(),
                                        plan.groups.size(), fmt::join(empty, ", ")));
  }
  if (!spanning.empty()) {
    plan.warnings.push_back(fmt::format("groups that span nodes though they would fit into one: {}",
                                        fmt::join(spanning, ", ")));
  }
  if (!waiting.empty()) {
    plan.warnings.push_back(
        fmt::format("groups with more ranks than micro-batches in an update, so that some "
                    "ranks wait: {}",
                    fmt::join(waiting, ", ")));
  }
}

/// Halving the number of groups a few times shows whether fewer, larger groups would be quicker.
void note_quicker(GroupPlan& plan, const PlanRequest& request) {
  if (request.groups || request.ranks_per_group) {
    return;
  }
  int best_groups = 0;
  double best = kWorthMentioning * plan.makespan;
  for (std::size_t n = plan.groups.size() / 2; n >= 1; n /= 2) {
    const double makespan = makespan_of(spread_all_ranks(request, static_cast<int>(n)));
    if (makespan < best) {
      best = makespan;
      best_groups = static_cast<int>(n);
    }
  }
  if (best_groups > 0) {
    plan.notes.push_back(
        fmt::format("groups = {} is estimated to take {:.0f} % of this plan's time", best_groups,
                    100 * best / plan.makespan));
  }
}

}  // namespace

GroupPlan make_group_plan(const PlanRequest& request) {
  check_request(request);
  const int num_ranks = static_cast<int>(request.node_of_rank.size());
  GroupPlan plan;
  if (request.experts.empty()) {
    plan.idle_ranks.resize(request.node_of_rank.size());
    std::iota(plan.idle_ranks.begin(), plan.idle_ranks.end(), 0);
    plan.notes.emplace_back("nothing to train");
    return plan;
  }
  const int num_experts = static_cast<int>(request.experts.size());
  if (request.ranks_per_group) {
    const int size = *request.ranks_per_group;
    const int num_groups = request.groups.value_or(std::min(num_experts, num_ranks / size));
    plan.groups = groups_from(fixed_size_layout(request.node_of_rank, num_groups, size), request);
  } else {
    plan.groups =
        spread_all_ranks(request, request.groups.value_or(std::min(num_experts, num_ranks)));
  }
  std::vector<bool> busy(request.node_of_rank.size(), false);
  for (const PlannedGroup& group : plan.groups) {
    for (const int rank : group.ranks) {
      busy[static_cast<std::size_t>(rank)] = true;
    }
  }
  for (std::size_t r = 0; r < busy.size(); ++r) {
    if (!busy[r]) {
      plan.idle_ranks.push_back(static_cast<int>(r));
    }
  }
  plan.makespan = makespan_of(plan.groups);
  plan.lower_bound = lower_bound_of(request.experts, num_ranks);
  warn(plan, request);
  note_quicker(plan, request);
  return plan;
}

std::vector<std::vector<int>> rank_lists(const GroupPlan& plan) {
  std::vector<std::vector<int>> lists;
  for (const PlannedGroup& group : plan.groups) {
    lists.push_back(group.ranks);
  }
  return lists;
}

int group_of_expert(const GroupPlan& plan, int expert_index) {
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const std::vector<int>& experts = plan.groups[g].experts;
    if (std::find(experts.begin(), experts.end(), expert_index) != experts.end()) {
      return static_cast<int>(g);
    }
  }
  return -1;
}

}  // namespace baton::coordinator
