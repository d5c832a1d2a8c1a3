#pragma once
// `baton export --run DIR [--expert NAME] --out DIR`: one expert as a PEFT adapter folder, or the
// whole chain as such folders with a program that asks them. Needs no MPI and no model; the chain
// needs the model's folder, for tokenizer and template.

#include <filesystem>
#include <string>

namespace baton::app {

/// Returns 0; `expert` = "": the whole chain. An unknown task is kUsage with the nearest name, an
/// expert that is not trained yet kUsage, a damaged one kModel; a chain of a method without
/// experts, or with a router that goes by more than margins, kUsage.
int run_export(const std::filesystem::path& run,
               const std::string& expert,
               const std::filesystem::path& out);

}  // namespace baton::app
