#pragma once
// `baton export --run DIR --expert NAME --out DIR`: one expert as a PEFT adapter folder. Needs no
// MPI and no model.

#include <filesystem>
#include <string>

namespace baton::app {

/// Returns 0. An unknown task is kUsage with the nearest name, an expert that is not trained yet
/// kUsage, a damaged one kModel.
int run_export(const std::filesystem::path& run,
               const std::string& expert,
               const std::filesystem::path& out);

}  // namespace baton::app
