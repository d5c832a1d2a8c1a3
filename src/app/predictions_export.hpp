#pragma once
// `baton eval --run DIR --export-predictions FILE`: the predictions of a finished evaluation in
// lm-evaluation-harness' sample form. Rank 0 only.

#include <filesystem>

#include "baton/config/config.hpp"
#include "baton/run/run_record.hpp"

namespace baton::app {

/// Before an evaluation that takes hours: a folder that is not there, or a name that is a folder's
/// or that of a file of the run, is kUsage; a folder that cannot be written to kStorage.
void check_export_file(const run::RunFolder& folder, const std::filesystem::path& file);

/// Writes the file, or replaces it. `config` is that of the evaluation.
void export_predictions(const run::RunFolder& folder,
                        const config::Config& config,
                        const std::filesystem::path& file);

}  // namespace baton::app
