#pragma once
// One expert from prepared rows to its file, on one group: adapter, training loop, threshold, file, log. The
// group's ranks call it together.

#include <cstdint>
#include <functional>
#include <string>

#include "baton/comm/communicator.hpp"
#include "baton/config/config.hpp"
#include "baton/expert/expert_state.hpp"
#include "experiment.hpp"
#include "workspace.hpp"

namespace baton::app {

struct ExpertJob {
  const config::Config& config;
  const Workspace& workspace;
  const PreparedExpert& prepared;
  expert::Identity identity;
  std::filesystem::path expert_path;
  std::filesystem::path log_path;
};

/// What the loop tells after each update.
struct ExpertStep {
  std::int64_t step = 0;
  std::int64_t num_steps = 0;
  double loss = 0;
  double tokens_per_second = 0;
};

struct ExpertOutcome {
  bool stopped = false;        // asked to stop before the end: no file
  std::int64_t steps = 0;
  double first_loss = 0;
  double last_loss = 0;
  double seconds = 0;
  double threshold = 0;
  std::int64_t num_tokens = 0;
};

/// Collective over `group`. Group rank 0 writes the files; `on_step` is called on every rank.
ExpertOutcome train_expert(const ExpertJob& job,
                           comm::Communicator& group,
                           const std::function<void(const ExpertStep&)>& on_step);

}  // namespace baton::app
