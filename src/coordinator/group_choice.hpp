#pragma once
// Which idle group takes which item where groups differ in size. A pure part of the coordinator.

#include <utility>
#include <vector>

namespace baton::coordinator {

struct GroupTime {
  int group = 0;
  int num_ranks = 1;
  double free_at = 0;  // token-steps; for an idle group: now
  bool is_idle = false;
};

struct ItemCost {
  int item = 0;
  double cost = 0;
  int max_useful_ranks = 0;
};

/// Gives the items, in their order, to the group that would end each first (the lower group on a
/// tie), and returns those (group, item) that fall to idle groups: each idle group at most once.
/// Where all groups are idle, the first item always finds one.
std::vector<std::pair<int, int>> choose_groups(const std::vector<ItemCost>& items,
                                               const std::vector<GroupTime>& groups);

}  // namespace baton::coordinator
