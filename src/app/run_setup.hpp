#pragma once
// Rank 0's part of starting a training run: the run folder, its lock, rehearsal buffers, and which experts are
// missing. An expert that is there but belongs to other settings is refused here, with every difference.

#include <optional>
#include <string>
#include <vector>

#include "baton/checkpoint/run_lock.hpp"
#include "baton/checkpoint/run_record.hpp"
#include "baton/config/config.hpp"
#include "experiment.hpp"

namespace baton::app {

/// Opens or makes the run folder and takes its lock; refuses a task list that does not extend the run's own.
struct OpenRun {
  checkpoint::RunLock lock;
  checkpoint::RunFolder folder;
};
OpenRun open_run(const config::Config& config);

/// Reads the rows of every task, and its buffer where the run has one. A task that has both expert and buffer
/// may have lost its training files. With `folder` on rank 0 missing buffers are made and recorded; other ranks
/// call it afterwards with null and find them on disk.
std::vector<TaskRows> load_task_rows(const config::Config& config, checkpoint::RunFolder* folder);

/// Positions of tasks whose expert has to be trained. kUsage, listing each difference, when a finished expert has
/// another identity than `config` asks for; kModel when one is damaged.
std::vector<std::size_t> find_missing_experts(checkpoint::RunFolder& folder,
                                              const std::vector<expert::Identity>& identities);

}  // namespace baton::app
