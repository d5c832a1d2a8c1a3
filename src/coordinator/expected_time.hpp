#pragma once
// How long a piece of work takes a group, by the estimate that plans and the queue share.

namespace baton::coordinator {

/// Token-steps of one rank until `num_ranks` ranks are through: an update's `max_useful_ranks`
/// slots are worked off in rounds (0: it can be cut as finely as wanted).
inline double expected_time(double cost, int max_useful_ranks, int num_ranks) {
  if (max_useful_ranks <= 0) {
    return cost / num_ranks;
  }
  const int rounds = (max_useful_ranks + num_ranks - 1) / num_ranks;
  return cost * rounds / max_useful_ranks;
}

}  // namespace baton::coordinator
