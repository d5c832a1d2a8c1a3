#pragma once
// Rank 0's part of starting a training run: the run folder, its lock, rehearsal buffers, and which
// experts are missing. An expert that is there but belongs to other settings is refused here, with
// every difference.

#include <optional>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/run/run_lock.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/llama_config.hpp"

namespace baton::experiment {

/// Opens or makes the run folder and takes its lock; refuses a task list that does not extend the
/// run's own. config.model.dtype becomes the type that the run began in, or for a new run what the
/// ranks compute fast: from here on it is never "auto", and run.json says it from its first moment.
struct OpenRun {
  run::RunLock lock;
  run::RunFolder folder;
  DtypeChoice dtype;
};
OpenRun open_run(config::Config& config, const std::vector<RankFacts>& ranks);

/// Reads the rows of every task, and its buffer where the run has one; missing buffers are made and
/// recorded. A task that has both expert and buffer may have lost its training files. kStopped
/// between two tasks when asked to stop.
std::vector<TaskRows> load_task_rows(const config::Config& config, run::RunFolder& folder);

/// Positions of tasks whose expert has to be trained. kUsage, listing each difference, when a
/// finished expert has another identity than `config` asks for; kModel when one is damaged.
std::vector<std::size_t> find_missing_experts(run::RunFolder& folder,
                                              const std::vector<expert::Identity>& identities);

/// Looks at saved training state of the missing experts. kUsage, listing each difference, when one
/// was begun with other settings than `config` asks for.
void check_saved_states(const config::Config& config,
                        const run::RunFolder& folder,
                        const std::vector<expert::Identity>& identities,
                        const std::vector<std::size_t>& missing);

/// What the config says about groups.
void fill_plan_request(const config::Config& config, coordinator::PlanRequest& request);

/// Numbers of one adapter of this config on this base.
std::int64_t lora_parameters_of(const config::Config& config, const weights::LlamaConfig& base);

}  // namespace baton::experiment
