#pragma once
// Where the groups' borders fall: rank lists from sizes and nodes. Pure parts of make_group_plan.

#include <vector>

namespace baton::coordinator {

using RankLists = std::vector<std::vector<int>>;

/// The ranks of each node, ascending; nodes in order of their number.
RankLists ranks_by_node(const std::vector<int>& node_of_rank);

/// Sizes that differ by at most one, ranks in node order.
RankLists even_layout(const std::vector<int>& node_of_rank, int num_groups);

/// No group spans more nodes than it must; sizes follow the nodes. 1 <= num_groups <= ranks.
RankLists node_layout(const std::vector<int>& node_of_rank, int num_groups);

/// `num_groups` groups of `group_size` ranks, first those that fit inside a node, then from what is
/// left in node order. num_groups * group_size <= ranks.
RankLists fixed_size_layout(const std::vector<int>& node_of_rank, int num_groups, int group_size);

}  // namespace baton::coordinator
