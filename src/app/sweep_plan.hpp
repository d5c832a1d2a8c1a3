#pragma once
// The runs of a sweep: a pure function of the command line and the config.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "baton/config/cli.hpp"
#include "baton/config/config.hpp"

namespace baton::app {

struct SweepRun {
  std::string method;
  std::int64_t order = 1;
  std::uint64_t seed = 0;
  std::string name;  // of its folder: "see-order1-seed42"
  std::filesystem::path folder;
  config::Config config;
  config::Command train;  // ready for run_train and run_eval
  config::Command eval;
};

/// Order 1 is the list as it stands; order k > 1 a permutation whose seed is named by k alone, so it
/// is the same for every method, seed and machine.
std::vector<std::string> tasks_in_order(const std::vector<std::string>& tasks, std::int64_t order);

/// By order, seed (counted up from train.seed) and method. Every run's config and method are checked
/// here, before anything starts: kUsage.
std::vector<SweepRun> plan_sweep(const config::Command& command);

}  // namespace baton::app
