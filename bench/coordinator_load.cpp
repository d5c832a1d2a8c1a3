// Prints how much of one core the coordinator needs for 1,024 workers (or as many as the argument
// says) that send Progress twice a second and work through ten items each. Measured: reading a
// message, deciding, writing the answers; not what moves the bytes between machines.

#include "unit/coordinator/coordinator_load.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  using baton::coordinator::LoadResult;
  const int num_workers = argc > 1 ? std::atoi(argv[1]) : 1024;
  if (num_workers < 1) {
    fmt::print(stderr, "usage: coordinator_load [NUM_WORKERS]\n");
    return 2;
  }
  bool all_ended = true;
  for (const int largest_group : {1, 4}) {
    const LoadResult load = baton::coordinator::measure_load(num_workers, 10, largest_group);
    fmt::print(
        "{} workers, groups of {}: {} messages in {:.0f} virtual seconds, {:.2f} us each, "
        "longest {:.0f} us\n",
        num_workers, largest_group == 1 ? "one size" : "1 to 4 ranks", load.num_steps,
        load.virtual_seconds,
        1e6 * load.share_of_core * load.virtual_seconds / static_cast<double>(load.num_steps),
        1e6 * load.longest_step_seconds);
    fmt::print("coordinator load {:.2f} % of one core\n", 100 * load.share_of_core);
    all_ended = all_ended && load.everyone_left;
  }
  return all_ended ? 0 : 1;
}
