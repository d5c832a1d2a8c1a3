#pragma once
// How much of one core the coordinator needs for a large cluster: simulated workers send Progress
// twice a virtual second and take item after item; the CPU time of reading, deciding and writing is
// set against virtual time.

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "unit/coordinator/simulated_cluster.hpp"

namespace baton::coordinator {

struct LoadResult {
  double share_of_core = 0;  // CPU seconds over virtual seconds
  double longest_step_seconds = 0;
  double virtual_seconds = 0;
  std::int64_t num_steps = 0;  // messages decided on
  bool everyone_left = false;
};

inline double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// `items_per_group` items of 20 to 60 virtual seconds a group; sizes of 1 to `largest_group`
/// ranks.
inline LoadResult measure_load(int num_groups, int items_per_group, int largest_group) {
  base::Random random(7);
  std::vector<int> sizes;
  for (int g = 0; g < num_groups; ++g) {
    sizes.push_back(1 + static_cast<int>(random.below(static_cast<std::uint64_t>(largest_group))));
  }
  std::vector<WorkItem> items;
  for (int i = 0; i < num_groups * items_per_group; ++i) {
    items.push_back({fmt::format("item{}", i), 20 + 40 * random.uniform(), 0, {}});
  }
  SimulationOptions options;
  options.progress_interval = 0.5;
  options.max_delay = 0.001;
  SimulatedCluster cluster(items, sizes, options, [&](int item, int group) {
    return items[static_cast<std::size_t>(item)].cost / sizes[static_cast<std::size_t>(group)];
  });
  LoadResult load;
  double cpu_seconds = 0;
  cluster.set_around([&](const std::function<void()>& step) {
    const double begin = thread_cpu_seconds();
    step();
    const double seconds = thread_cpu_seconds() - begin;
    cpu_seconds += seconds;
    load.longest_step_seconds = std::max(load.longest_step_seconds, seconds);
    ++load.num_steps;
  });
  const SimulationResult result = cluster.run();
  load.virtual_seconds = result.end;
  load.share_of_core = cpu_seconds / result.end;
  load.everyone_left = result.everyone_left && result.broken_promises.empty();
  return load;
}

}  // namespace baton::coordinator
