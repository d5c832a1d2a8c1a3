#pragma once
// Whether a run folder already holds the evaluation that a config asks for. Used by the sweep, which
// leaves out what is done, and by the export of predictions.

#include "baton/config/config.hpp"
#include "baton/run/run_record.hpp"

namespace baton::experiment {

/// results.json and predictions.jsonl are whole, of the run's tasks, made with the config's keys of
/// an evaluation, and after the last expert and the last `baton calibrate`.
bool is_evaluated(const run::RunFolder& folder, const config::Config& config);

}  // namespace baton::experiment
