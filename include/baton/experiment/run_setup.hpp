#pragma once
// What a training run begins with: its folder and lock (rank 0), and what the config says about
// groups and sizes.

#include <cstdint>

#include "baton/config/config.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/run/run_lock.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/decoder_config.hpp"

namespace baton::experiment {

/// Opens the run folder, or makes the folder of a new run, and takes its lock; refuses a task list
/// that does not extend the run's own. What a replacement that was cut off had begun is finished;
/// nothing of a new run is written but the lock. config.model.dtype becomes the type that the run
/// began in, or for a new run what the ranks compute fast: from here on it is never "auto", and
/// run.json says it from its first moment.
struct OpenRun {
  run::RunLock lock;
  run::RunFolder folder;
  DtypeChoice dtype;
};
OpenRun open_run(config::Config& config, const std::vector<RankFacts>& ranks);

/// What the config says about groups.
void fill_plan_request(const config::Config& config, coordinator::PlanRequest& request);

/// Micro-batch slots of an update: more ranks than that do not help an expert.
int max_useful_ranks(const config::Config& config);

/// What training a learner costs a group.
coordinator::ExpertCost cost_of(const config::Config& config,
                                const RunFacts& facts,
                                const method::LearnerPlan& learner,
                                const method::Method& method);

/// Places in `missing` (positions, in the order of the queue) that a learner has to wait for.
std::vector<int> items_before(const method::LearnerPlan& learner,
                              const std::vector<std::size_t>& missing);

/// Numbers of one adapter of this config on this base.
std::int64_t lora_parameters_of(const config::Config& config, const weights::DecoderConfig& base);

}  // namespace baton::experiment
