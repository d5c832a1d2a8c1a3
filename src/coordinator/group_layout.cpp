#include "group_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace baton::coordinator {
namespace {

/// Shares of `total` in proportion to `weights`, each at least one, by largest quotient: the next
/// unit goes to the entry with the most weight per unit held, the earlier one on a tie. Never more
/// units than weight while total <= sum of weights.
std::vector<int> proportional_shares(const std::vector<int>& weights, int total) {
  std::vector<int> shares(weights.size(), 1);
  for (int given = static_cast<int>(weights.size()); given < total; ++given) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < weights.size(); ++i) {
      // weights[i] / shares[i] > weights[best] / shares[best], without division
      if (std::int64_t{weights[i]} * shares[best] > std::int64_t{weights[best]} * shares[i]) {
        best = i;
      }
    }
    ++shares[best];
  }
  return shares;
}

/// Cuts `items` into `num_parts` runs whose lengths differ by at most one, longer ones first.
template <typename T>
std::vector<std::vector<T>> cut_evenly(const std::vector<T>& items, int num_parts) {
  const std::size_t parts = static_cast<std::size_t>(num_parts);
  std::vector<std::vector<T>> result;
  auto from = items.begin();
  for (std::size_t p = 0; p < parts; ++p) {
    const std::size_t length = items.size() / parts + (p < items.size() % parts ? 1 : 0);
    const auto to = from + static_cast<std::ptrdiff_t>(length);
    result.emplace_back(from, to);
    from = to;
  }
  return result;
}

std::vector<int> flatten(const RankLists& lists) {
  std::vector<int> all;
  for (const std::vector<int>& list : lists) {
    all.insert(all.end(), list.begin(), list.end());
  }
  return all;
}

/// Nodes with few ranks are joined to the group that has fewest ranks so far, biggest node first.
RankLists join_nodes(RankLists nodes, int num_groups) {
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  RankLists groups(static_cast<std::size_t>(num_groups));
  for (const std::vector<int>& node : nodes) {
    const auto smallest =
        std::min_element(groups.begin(), groups.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    smallest->insert(smallest->end(), node.begin(), node.end());
  }
  return groups;
}

}  // namespace

RankLists ranks_by_node(const std::vector<int>& node_of_rank) {
  std::map<int, std::vector<int>> nodes;
  for (std::size_t r = 0; r < node_of_rank.size(); ++r) {
    nodes[node_of_rank[r]].push_back(static_cast<int>(r));
  }
  RankLists lists;
  for (auto& [number, ranks] : nodes) {
    lists.push_back(std::move(ranks));
  }
  return lists;
}

RankLists even_layout(const std::vector<int>& node_of_rank, int num_groups) {
  return cut_evenly(flatten(ranks_by_node(node_of_rank)), num_groups);
}

RankLists node_layout(const std::vector<int>& node_of_rank, int num_groups) {
  const RankLists nodes = ranks_by_node(node_of_rank);
  if (static_cast<std::size_t>(num_groups) < nodes.size()) {
    return join_nodes(nodes, num_groups);
  }
  std::vector<int> node_sizes;
  for (const std::vector<int>& node : nodes) {
    node_sizes.push_back(static_cast<int>(node.size()));
  }
  const std::vector<int> shares = proportional_shares(node_sizes, num_groups);
  RankLists groups;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (std::vector<int>& group : cut_evenly(nodes[n], shares[n])) {
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

RankLists fixed_size_layout(const std::vector<int>& node_of_rank, int num_groups, int group_size) {
  const auto wanted = static_cast<std::size_t>(num_groups);
  const auto size = static_cast<std::size_t>(group_size);
  RankLists groups;
  std::vector<int> left;
  for (const std::vector<int>& node : ranks_by_node(node_of_rank)) {
    std::size_t used = 0;
    for (; groups.size() < wanted && node.size() - used >= size; used += size) {
      const auto from = node.begin() + static_cast<std::ptrdiff_t>(used);
      groups.emplace_back(from, from + static_cast<std::ptrdiff_t>(size));
    }
    left.insert(left.end(), node.begin() + static_cast<std::ptrdiff_t>(used), node.end());
  }
  for (std::size_t used = 0; groups.size() < wanted; used += size) {
    const auto from = left.begin() + static_cast<std::ptrdiff_t>(used);
    groups.emplace_back(from, from + static_cast<std::ptrdiff_t>(size));
  }
  return groups;
}

}  // namespace baton::coordinator
