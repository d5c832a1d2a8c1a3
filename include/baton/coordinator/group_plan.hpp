#pragma once
// Which ranks train which expert. A pure function of the experts' costs, the ranks' places and two
// wishes of the user, so every rank computes the same plan and its odd cases are unit tests. Used
// by the train and plan commands. It starts nothing and communicates nothing.
//
// Rules
//   number of groups  `groups`, or as many as `ranks_per_group` allows, or (both auto) min(experts,
//   ranks).
//                     Without a fixed ranks_per_group every rank is in a group.
//   sizes             with ranks_per_group all equal, left-over ranks are named. Else two
//   candidates:
//                       by node: the groups are dealt to the nodes in proportion to their ranks
//                       (or, with fewer groups than nodes, the nodes to the groups), so that none
//                       spans more nodes than it must; even:    sizes that differ by at most one,
//                       in rank order, wherever the borders fall.
//                     By node is taken unless its estimated time is more than a tenth longer.
//   assignment        biggest expert first, each to the group that would finish it first (the lower
//   group on a
//                     tie). A group trains its experts in that order.
//   time              an expert's update is cut into `max_useful_ranks` fixed slots; a group of g
//   ranks needs
//                     ceil(slots / g) rounds, so cost c takes c * ceil(slots / g) / slots. More
//                     ranks than slots wait. The lower bound is max(sum of costs / ranks, longest
//                     expert on all ranks).

#include <optional>
#include <string>
#include <vector>

#include "baton/base/json.hpp"

namespace baton::coordinator {

struct ExpertCost {
  std::string name;
  double token_steps = 0;    // estimated tokens to train on one rank, >= 0
  int max_useful_ranks = 0;  // micro-batch slots of one update; 0: no limit
};

struct PlanRequest {
  std::vector<ExpertCost> experts;     // in task order
  std::vector<int> node_of_rank;       // one entry a world rank
  std::optional<int> groups;           // nothing: auto
  std::optional<int> ranks_per_group;  // nothing: auto
};

struct PlannedGroup {
  std::vector<int> ranks;    // world ranks, ascending
  std::vector<int> experts;  // indices into the request's experts, in the order of training
  double token_steps = 0;    // estimated time until the last is done, in token-steps of one rank
  int num_nodes = 1;
};

struct GroupPlan {
  std::vector<PlannedGroup> groups;   // in order of their first rank
  std::vector<int> idle_ranks;        // in no group
  std::vector<std::string> warnings;  // ranks or groups that stand idle, groups that span nodes
  std::vector<std::string>
      notes;               // what the user might like to know, e.g. a quicker number of groups
  double makespan = 0;     // token-steps until the last group is done
  double lower_bound = 0;  // no plan for these ranks can be quicker
};

/// kUsage when the ranks cannot form the groups asked for, naming the nearest possibilities.
GroupPlan make_group_plan(const PlanRequest& request);

/// The groups' rank lists, as ProcessWorld::split takes them.
std::vector<std::vector<int>> rank_lists(const GroupPlan& plan);

/// Index of the group that trains expert `expert_index`; -1 for none.
int group_of_expert(const GroupPlan& plan, int expert_index);

/// "0-3,6": ascending numbers with ranges.
std::string format_ranks(const std::vector<int>& ranks);

/// A table of groups, then idle ranks, warnings, notes, estimate and bound.
std::string plan_text(const GroupPlan& plan, const PlanRequest& request);

base::OrderedJson plan_json(const GroupPlan& plan, const PlanRequest& request);

}  // namespace baton::coordinator
