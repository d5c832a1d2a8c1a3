#pragma once
// Which ranks train which expert. A pure function of the experts' costs, the ranks' places and two
// wishes of the user, so every rank computes the same plan and its odd cases are unit tests. Used
// by the train and plan commands. It starts nothing and communicates nothing.
//
// Rules
//   workers
//     All ranks, or all but rank 0 where that one is to coordinate only.
//   number of groups
//     `groups`; else as many as `ranks_per_group` allows, inside nodes where it fits into one; else
//     (both auto) min(experts, workers), halved as long as that is estimated to need less than half
//     the time (few long experts on many ranks) and no more groups span nodes.
//   sizes
//     With ranks_per_group all equal, left-over ranks are named. Else the groups are dealt to the
//     nodes in proportion to their ranks (or, with fewer groups than nodes, the nodes to the
//     groups), so that none spans more nodes than it must.
//   fast mode
//     Each rank takes an equal share of an update's rows, so the size must divide train_batch_size:
//     asked-for sizes that do not are refused, others are cut to the next smaller one that does. In
//     the deterministic mode any size will do.
//   memory
//     Does not decide: the base's weights are whole on every rank, so larger groups need no less of
//     it. memory_estimate.hpp says how many ranks a machine holds.
//   assignment
//     Biggest expert first, each to the group that would finish it first (the lower group on a
//     tie): what the coordinator's queue does where the estimates hold.
//   time
//     An expert's update is cut into `max_useful_ranks` fixed slots; a group of g ranks needs
//     ceil(slots / g) rounds, so cost c takes c * ceil(slots / g) / slots. More ranks than slots
//     wait. The lower bound is max(sum of costs / workers, longest expert on all workers).

#include <cstdint>
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
  std::vector<ExpertCost> experts;         // in task order
  std::vector<int> node_of_rank;           // one entry a world rank
  std::optional<int> groups;               // nothing: auto
  std::optional<int> ranks_per_group;      // nothing: auto
  bool has_dedicated_coordinator = false;  // rank 0 is in no group
  bool is_deterministic = true;            // false: group sizes must divide train_batch_size
  std::int64_t train_batch_size = 0;       // rows an update; 0: any group size will do
};

struct PlannedGroup {
  std::vector<int> ranks;  // world ranks, ascending
  // Indices into the request's experts, in the order of training: what is expected, by the
  // estimates. Who really trains which is decided while the run goes on.
  std::vector<int> experts;
  double token_steps = 0;  // estimated time until the last is done, in token-steps of one rank
  int num_nodes = 1;
};

/// When an expert is expected to be trained. Times in token-steps of one rank, from the start.
struct PlannedStart {
  int expert = 0;
  int group = 0;
  int wave = 0;  // how many its group has trained before
  double begin = 0;
  double end = 0;
};

struct GroupPlan {
  std::vector<PlannedGroup> groups;     // in order of their first rank
  std::vector<PlannedStart> starts;     // by begin, then group
  std::vector<int> idle_ranks;          // in no group; not a dedicated coordinator
  std::optional<int> coordinator_rank;  // a rank that only coordinates
  std::vector<std::string> warnings;    // ranks or groups that stand idle, groups that span nodes
  std::vector<std::string> notes;       // e.g. a quicker number of groups
  double makespan = 0;                  // token-steps until the last group is done
  double lower_bound = 0;               // no plan for these ranks can be quicker
};

/// kUsage when the ranks cannot form the groups asked for, naming the nearest possibilities: too
/// few ranks, no rank beside a dedicated coordinator, a size that does not divide the batch in the
/// fast mode.
GroupPlan make_group_plan(const PlanRequest& request);

/// The groups' rank lists, as ProcessWorld::split takes them.
std::vector<std::vector<int>> rank_lists(const GroupPlan& plan);

/// Index of the group that trains expert `expert_index`; -1 for none.
int group_of_expert(const GroupPlan& plan, int expert_index);

/// "0-3,6": ascending numbers with ranges.
std::string format_ranks(const std::vector<int>& ranks);

/// A table of groups, then of waves where there are several, warnings, notes, estimate and bound.
std::string plan_text(const GroupPlan& plan, const PlanRequest& request);

base::OrderedJson plan_json(const GroupPlan& plan, const PlanRequest& request);

}  // namespace baton::coordinator
