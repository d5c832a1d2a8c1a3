#pragma once
// One expert from prepared rows to its file, on one group: adapter, saved state of an earlier
// attempt, training loop, saves, threshold, file, log. The group's ranks call it together.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "baton/comm/communicator.hpp"
#include "baton/config/config.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/fault_injection.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/method/calibration.hpp"
#include "baton/run/run_paths.hpp"
#include "baton/work/heartbeat.hpp"
#include "baton/work/stop_watcher.hpp"

namespace baton::experiment {

struct ExpertJob {
  const config::Config& config;
  const Workspace& workspace;
  const method::Method& method;
  const PreparedExpert& prepared;
  expert::Identity identity;
  const run::RunPaths& paths;

  std::filesystem::path expert_path() const {
    return paths.path_of(paths.expert_file(prepared.plan.position));
  }
  std::filesystem::path log_path() const {
    return paths.path_of(paths.log_file(prepared.plan.position));
  }
  std::filesystem::path tensorboard_folder() const {
    return paths.path_of(paths.tensorboard_folder(prepared.plan.position));
  }
  std::filesystem::path checkpoint_folder() const {
    return paths.path_of(paths.checkpoint_folder(prepared.plan.position));
  }
};

/// What the loop tells after each update.
struct ExpertStep {
  std::int64_t step = 0;
  std::int64_t num_steps = 0;
  double loss = 0;
  double tokens_per_second = 0;
  std::optional<double> validation_loss = {};  // the newest
};

struct ExpertOutcome {
  bool stopped = false;    // asked to stop before the end: its state is on disk, there is no file
  std::int64_t steps = 0;  // made before what was kept
  double last_loss = 0;
  std::optional<double> validation_loss = {};  // of what was kept
  double seconds = 0;                          // of training, earlier attempts included
  double threshold = 0;
  std::optional<method::Calibration> calibration;  // with accept_threshold = auto
};

/// What the loop needs from around it.
struct TrainingHooks {
  std::function<void(const ExpertStep&)> on_step;  // after each update, on every rank
  std::function<bool()> should_stop;  // asked before each micro-batch slot, on every rank
  work::StopWatcher& stop_watcher;
  work::Heartbeat& heartbeat;
  const FaultInjection& faults;
  int attempt = 1;
};

/// Collective over `group`; its rank 0 reads and writes the files. An error is a comm::GroupError
/// on every rank, but for one of the communication itself.
ExpertOutcome train_expert(const ExpertJob& job,
                           comm::Communicator& group,
                           const TrainingHooks& hooks);

}  // namespace baton::experiment
