#include "baton/coordinator/group_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "expected_time.hpp"
#include "group_layout.hpp"
#include "group_request.hpp"

namespace baton::coordinator {
namespace {

// Another number of groups, or groups across node borders, is named when it needs less than this
// share of the time; a smaller number is taken without asking below the second share, which leaves
// room for what the estimate does not know: the time that sums of gradients take.
constexpr double kWorthMentioning = 0.9;
constexpr double kWorthTaking = 0.5;

double time_of(const ExpertCost& expert, int num_ranks) {
  return expected_time(expert.token_steps, expert.max_useful_ranks, num_ranks);
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
      const double end = group.token_steps + time_of(expert, static_cast<int>(group.ranks.size()));
      if (best == nullptr || end < best_end) {
        best = &group;
        best_end = end;
      }
    }
    best->experts.push_back(index);
    best->token_steps = best_end;
  }
}

/// In the fast mode: as many ranks as divide the batch, those of the group's largest node first.
void cut_to_batch(std::vector<int>& ranks, const PlanRequest& request) {
  const auto size =
      static_cast<std::size_t>(largest_group_size(request, static_cast<int>(ranks.size())));
  std::map<int, int> ranks_on;
  const auto node_of = [&](int rank) {
    return request.node_of_rank[static_cast<std::size_t>(rank)];
  };
  for (const int rank : ranks) {
    ++ranks_on[node_of(rank)];
  }
  std::stable_sort(ranks.begin(), ranks.end(),
                   [&](int a, int b) { return ranks_on[node_of(a)] > ranks_on[node_of(b)]; });
  ranks.resize(size);
}

/// `lists` number the workers from 0 on.
std::vector<PlannedGroup> groups_from(RankLists lists, const PlanRequest& request) {
  for (std::vector<int>& ranks : lists) {
    for (int& rank : ranks) {
      rank += first_worker(request);
    }
    cut_to_batch(ranks, request);
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

std::vector<PlannedGroup> groups_on_borders(const PlanRequest& request, int num_groups) {
  return groups_from(node_layout(nodes_of_workers(request), num_groups), request);
}

std::vector<PlannedGroup> groups_of_fixed_size(const PlanRequest& request) {
  const int size = *request.ranks_per_group;
  const std::vector<int> nodes = nodes_of_workers(request);
  int most = 0;  // inside nodes
  for (const std::vector<int>& node : ranks_by_node(nodes)) {
    most += static_cast<int>(node.size()) / size;
  }
  if (most == 0) {
    most = static_cast<int>(nodes.size()) / size;
  }
  const int num_groups =
      request.groups.value_or(std::min(static_cast<int>(request.experts.size()), most));
  return groups_from(fixed_size_layout(nodes, num_groups, size), request);
}

int num_spanning(const std::vector<PlannedGroup>& groups) {
  return static_cast<int>(std::count_if(groups.begin(), groups.end(),
                                        [](const auto& group) { return group.num_nodes > 1; }));
}

/// As many groups as experts, or half as many as often as that pays.
std::vector<PlannedGroup> groups_by_cost(const PlanRequest& request) {
  const int most = std::min(static_cast<int>(request.experts.size()), num_workers(request));
  std::vector<PlannedGroup> chosen = groups_on_borders(request, most);
  for (int n = most / 2; n >= 1; n /= 2) {
    std::vector<PlannedGroup> fewer = groups_on_borders(request, n);
    if (num_spanning(fewer) <= num_spanning(chosen) &&
        makespan_of(fewer) < kWorthTaking * makespan_of(chosen)) {
      chosen = std::move(fewer);
    }
  }
  return chosen;
}

double lower_bound_of(const std::vector<ExpertCost>& experts, int num_ranks) {
  double sum = 0;
  double longest = 0;
  for (const ExpertCost& expert : experts) {
    sum += expert.token_steps;
    longest = std::max(longest, time_of(expert, num_ranks));
  }
  return std::max(sum / num_ranks, longest);
}

void warn(GroupPlan& plan, const PlanRequest& request) {
  if (!plan.idle_ranks.empty()) {
    plan.warnings.push_back(fmt::format("{} of {} ranks are left over and only wait: {}",
                                        plan.idle_ranks.size(), request.node_of_rank.size(),
                                        format_ranks(plan.idle_ranks)));
  }
  const auto list = [&](std::vector<std::string>& texts, const std::string& text,
                        const std::function<bool(const PlannedGroup&)>& condition) {
    std::vector<int> numbers;
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      if (condition(plan.groups[g])) {
        numbers.push_back(static_cast<int>(g));
      }
    }
    if (!numbers.empty()) {
      texts.push_back(fmt::format("{} of {} groups {}: {}", numbers.size(), plan.groups.size(),
                                  text, format_ranks(numbers)));
    }
  };
  list(plan.warnings, "have no expert to train",
       [](const PlannedGroup& group) { return group.experts.empty(); });
  std::size_t largest_node = 0;
  for (const std::vector<int>& node : ranks_by_node(nodes_of_workers(request))) {
    largest_node = std::max(largest_node, node.size());
  }
  const auto would_fit = [&](const PlannedGroup& group) {
    return group.ranks.size() <= largest_node;
  };
  list(plan.warnings, "span nodes though they would fit into one",
       [&](const PlannedGroup& group) { return group.num_nodes > 1 && would_fit(group); });
  list(plan.notes, "span nodes, as no node has so many ranks",
       [&](const PlannedGroup& group) { return group.num_nodes > 1 && !would_fit(group); });
  const auto has_waiting_ranks = [&](const PlannedGroup& group) {
    return !group.experts.empty() &&
           std::all_of(group.experts.begin(), group.experts.end(), [&](int index) {
             const int slots = request.experts[static_cast<std::size_t>(index)].max_useful_ranks;
             return slots > 0 && std::cmp_less(slots, group.ranks.size());
           });
  };
  list(plan.warnings, "have more ranks than micro-batches in an update, so that some ranks wait",
       has_waiting_ranks);
}

/// Halving the number of groups a few times shows whether fewer, larger groups would be quicker;
/// so does a look across node borders.
void note_quicker(GroupPlan& plan, const PlanRequest& request) {
  if (request.ranks_per_group) {
    return;
  }
  const auto share = [&](double makespan) { return 100 * makespan / plan.makespan; };
  const int num_groups = static_cast<int>(plan.groups.size());
  double best = kWorthMentioning * plan.makespan;
  const double across =
      makespan_of(groups_from(even_layout(nodes_of_workers(request), num_groups), request));
  if (across < best) {
    plan.notes.push_back(
        fmt::format("groups across node borders would be estimated to take {:.0f} % of this "
                    "plan's time; ranks that are spread evenly over the nodes avoid that",
                    share(across)));
  }
  int best_groups = 0;
  for (int n = num_groups / 2; n >= 1 && !request.groups; n /= 2) {
    const double makespan = makespan_of(groups_on_borders(request, n));
    if (makespan < best) {
      best = makespan;
      best_groups = n;
    }
  }
  if (best_groups > 0) {
    plan.notes.push_back(fmt::format(
        "groups = {} is estimated to take {:.0f} % of this plan's time", best_groups, share(best)));
  }
}

std::vector<PlannedStart> starts_of(const std::vector<PlannedGroup>& groups,
                                    const PlanRequest& request) {
  std::vector<PlannedStart> starts;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    double now = 0;
    int wave = 0;
    for (const int expert : groups[g].experts) {
      const double end = now + time_of(request.experts[static_cast<std::size_t>(expert)],
                                       static_cast<int>(groups[g].ranks.size()));
      starts.push_back({expert, static_cast<int>(g), wave++, now, end});
      now = end;
    }
  }
  std::stable_sort(starts.begin(), starts.end(),
                   [](const PlannedStart& a, const PlannedStart& b) { return a.begin < b.begin; });
  return starts;
}

std::vector<int> idle_ranks_of(const GroupPlan& plan, const PlanRequest& request) {
  std::vector<bool> busy(request.node_of_rank.size(), false);
  for (const PlannedGroup& group : plan.groups) {
    for (const int rank : group.ranks) {
      busy[static_cast<std::size_t>(rank)] = true;
    }
  }
  std::vector<int> idle;
  for (std::size_t r = static_cast<std::size_t>(first_worker(request)); r < busy.size(); ++r) {
    if (!busy[r]) {
      idle.push_back(static_cast<int>(r));
    }
  }
  return idle;
}

}  // namespace

GroupPlan make_group_plan(const PlanRequest& request) {
  check_plan_request(request);
  GroupPlan plan;
  if (request.has_dedicated_coordinator) {
    plan.coordinator_rank = 0;
  }
  if (request.experts.empty()) {
    plan.idle_ranks = idle_ranks_of(plan, request);
    plan.notes.emplace_back("nothing to train");
    return plan;
  }
  if (request.ranks_per_group) {
    plan.groups = groups_of_fixed_size(request);
  } else {
    plan.groups =
        request.groups ? groups_on_borders(request, *request.groups) : groups_by_cost(request);
  }
  plan.starts = starts_of(plan.groups, request);
  plan.idle_ranks = idle_ranks_of(plan, request);
  plan.makespan = makespan_of(plan.groups);
  plan.lower_bound = lower_bound_of(request.experts, num_workers(request));
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
