#pragma once
// `baton plan`: shows groups, order, steps and memory of a run without training anything. Works on
// numbers that the caller has read from config and data already, so it needs neither MPI nor a
// model in memory.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "baton/coordinator/gpu_estimate.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/coordinator/memory_estimate.hpp"

namespace baton::app {

struct PlanTask {
  std::string name;
  std::int64_t num_rows = 0;    // of the expert's training set, negatives included
  double tokens_per_epoch = 0;  // estimated
  double num_epochs = 1;        // twice the training's where a threshold is cross-fitted
  std::int64_t num_steps = 0;   // updates over all epochs
  int max_useful_ranks = 0;     // micro-batch slots of an update; 0: no limit
  bool is_trained = false;      // in the run folder already: listed, not planned
};

struct PlanInputs {
  std::vector<PlanTask> tasks;  // in task order
  int num_ranks = 1;
  int ranks_per_node = 0;  // 0: all on one machine
  coordinator::PlanRequest
      wishes;  // what the config asks for; experts and nodes come from the above
  coordinator::MemoryRequest memory;        // ranks_on_node is set from the above
  std::uint64_t machine_bytes = 0;          // memory of one machine; 0: not known
  std::vector<coordinator::GpuModel> gpus;  // to estimate hours for; may be empty
  bool as_json = false;
};

/// Prints the plan; 0. kUsage when the ranks cannot form the groups.
int run_plan(const PlanInputs& inputs, std::ostream& out);

}  // namespace baton::app
