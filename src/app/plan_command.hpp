#pragma once
// `baton plan`: shows groups, order, steps and memory of a run without training anything. Works on
// numbers that the caller has read from config and data already, so it needs neither MPI nor a
// model in memory.

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "baton/coordinator/memory_estimate.hpp"

namespace baton::app {

struct PlanTask {
  std::string name;
  std::int64_t num_rows = 0;    // of the expert's training set, negatives included
  double tokens_per_epoch = 0;  // estimated
  double num_epochs = 1;
  std::int64_t num_steps = 0;  // updates over all epochs
  int max_useful_ranks = 0;    // micro-batch slots of an update; 0: no limit
  bool is_trained = false;     // in the run folder already: listed, not planned
};

struct PlanInputs {
  std::vector<PlanTask> tasks;  // in task order
  int num_ranks = 1;
  int ranks_per_node = 0;              // 0: all on one machine
  std::optional<int> groups;           // nothing: auto
  std::optional<int> ranks_per_group;  // nothing: auto
  coordinator::MemoryRequest memory;   // ranks_on_node is set from the above
  bool as_json = false;
};

/// Prints the plan; 0. kUsage when the ranks cannot form the groups.
int run_plan(const PlanInputs& inputs, std::ostream& out);

}  // namespace baton::app
