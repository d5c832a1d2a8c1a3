#pragma once
// Rank 0's part of starting a training run: the run folder, its lock, rehearsal buffers, and which
// experts are missing. An expert that is there but belongs to other settings is refused here, with
// every difference.

#include <functional>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/row_meter.hpp"
#include "baton/run/run_lock.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/llama_config.hpp"

namespace baton::experiment {

/// Opens or makes the run folder and takes its lock; refuses a task list that does not extend the
/// run's own.
struct OpenRun {
  run::RunLock lock;
  run::RunFolder folder;
};
OpenRun open_run(const config::Config& config);

/// Reads every task once, one after the other, and its buffer where the run has one; missing
/// buffers are made and recorded. Nothing but facts is kept. A task that has both expert and buffer
/// may have lost its training files. kStopped between two tasks when asked to stop.
RunFacts load_run_facts(const config::Config& config,
                        run::RunFolder& folder,
                        const RowMeter& meter);

/// What expert `index` has to be made of.
using IdentityOf = std::function<expert::Identity(std::size_t index)>;

/// Positions of tasks whose expert has to be trained. kUsage, listing each difference, when a
/// finished expert has another identity than `config` asks for; kModel when one is damaged.
std::vector<std::size_t> find_missing_experts(run::RunFolder& folder,
                                              const IdentityOf& identity_of);

/// Looks at saved training state of the missing experts. kUsage, listing each difference, when one
/// was begun with other settings than `config` asks for.
void check_saved_states(const config::Config& config,
                        const run::RunFolder& folder,
                        const IdentityOf& identity_of,
                        const std::vector<std::size_t>& missing);

/// What the config says about groups.
void fill_plan_request(const config::Config& config, coordinator::PlanRequest& request);

/// Numbers of one adapter of this config on this base.
std::int64_t lora_parameters_of(const config::Config& config, const weights::LlamaConfig& base);

}  // namespace baton::experiment
