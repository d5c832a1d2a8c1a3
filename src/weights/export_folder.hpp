#pragma once
// Folders that `baton export` writes: it replaces what it wrote itself and nothing else.

#include <filesystem>
#include <set>
#include <string>

namespace baton::weights {

// A folder whose README holds this line, and nothing but its kind's files, was written here.
inline constexpr const char* kExportMark = "<!-- written by baton export -->";
inline constexpr const char* kExportReadme = "README.md";
inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterTensors = "adapter_model.safetensors";
inline constexpr const char* kChainFacts = "chain.json";
inline constexpr const char* kChainRunner = "run_chain.py";

/// What an export of one kind consists of.
struct ExportKind {
  std::set<std::string> files;
  const ExportKind* folders = nullptr;  // the kind of every folder inside; nullptr: there are none
};

const ExportKind& adapter_export();
const ExportKind& chain_export();

/// kUsage unless `out` is new, empty, or an earlier export of this kind.
void check_out_folder(const std::filesystem::path& out, const ExportKind& kind);

}  // namespace baton::weights
