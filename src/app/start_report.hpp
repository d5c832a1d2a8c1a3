#pragma once
// What a training says of itself before it begins: its settings, its base, its ranks.

#include <string>

#include "baton/config/config.hpp"
#include "baton/experiment/workspace.hpp"

namespace baton::app {

struct StartFacts {
  bool shows_all_keys = false;  // else those that differ from their defaults
  std::string dtype_reason;
  int num_ranks = 1;
  int num_local_ranks = 1;
  int num_threads = 1;  // a rank
};

/// To stderr and the log.
void say_start_of_training(const config::Config& config,
                           const experiment::Workspace& workspace,
                           const StartFacts& facts);

}  // namespace baton::app
