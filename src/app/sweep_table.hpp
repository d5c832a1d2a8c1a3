#pragma once
// What a sweep found: a line for each method and order, mean and spread over the seeds, from the
// runs' results.json.

#include <filesystem>
#include <span>
#include <string>

#include "baton/base/json.hpp"
#include "sweep_plan.hpp"

namespace baton::app {

/// Runs without results are left out.
std::string sweep_table(std::span<const SweepRun> runs);

/// Every run's summaries: what sweep.json holds.
base::OrderedJson sweep_json(std::span<const SweepRun> runs);

}  // namespace baton::app
