#include "group_choice.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <queue>

#include "expected_time.hpp"

namespace baton::coordinator {
namespace {

struct Candidate {
  double free_at = 0;
  int group = 0;
  bool is_idle = false;

  bool operator>(const Candidate& other) const {
    return free_at != other.free_at ? free_at > other.free_at : group > other.group;
  }
};

// Of groups of one size only the one that is free first can be the best.
using Earliest = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>>;

}  // namespace

std::vector<std::pair<int, int>> choose_groups(const std::vector<ItemCost>& items,
                                               const std::vector<GroupTime>& groups) {
  std::map<int, Earliest> by_size;
  std::size_t num_idle = 0;
  for (const GroupTime& group : groups) {
    by_size[group.num_ranks].push({group.free_at, group.group, group.is_idle});
    num_idle += group.is_idle ? 1 : 0;
  }
  std::vector<std::pair<int, int>> chosen;
  for (const ItemCost& item : items) {
    if (chosen.size() == num_idle) {
      break;
    }
    Earliest* best = nullptr;
    double best_end = 0;
    for (auto& [num_ranks, earliest] : by_size) {
      const double end =
          earliest.top().free_at + expected_time(item.cost, item.max_useful_ranks, num_ranks);
      if (best == nullptr || end < best_end ||
          (end == best_end && earliest.top().group < best->top().group)) {
        best = &earliest;
        best_end = end;
      }
    }
    Candidate taker = best->top();
    best->pop();
    if (taker.is_idle) {
      chosen.emplace_back(taker.group, item.item);
    }
    best->push({best_end, taker.group, false});
  }
  return chosen;
}

}  // namespace baton::coordinator
