#pragma once
// The inside of a folder of generations: names, the manifest, and whether one is whole. Nothing
// here looks at times of files: the name says which is newer.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/expert/training_state.hpp"

namespace baton::checkpoint {

inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kMarkerFile = "COMPLETE";

/// Something that has the name of a generation: "step-00000012".
struct GenerationPath {
  std::filesystem::path path;
  std::int64_t step = 0;
};

std::string generation_name(std::int64_t step);

struct FolderContent {
  std::vector<GenerationPath> generations;       // newest first, whole or not
  std::vector<std::filesystem::path> leftovers;  // of interrupted saves and removals
};

/// A folder that does not exist is empty; kStorage for one that cannot be read.
FolderContent list_generations(const std::filesystem::path& folder);

struct Manifest {
  std::int64_t format_version = 0;  // of a newer one than this program's nothing else is filled
  std::string task;
  expert::Identity identity;
  std::int64_t step = 0;
  std::int64_t num_updates = 0;
  std::int64_t num_parameters = 0;
  std::uint64_t state_size = 0;  // of state.h5
  std::string state_sha256;

  bool is_newer_format() const;
};

/// `image`: the bytes of state.h5.
std::string manifest_text(const expert::TrainingState& state, std::string_view image);

/// The manifest of a generation whose marker names it and which is what its folder's name says.
/// Anything else is kModel or, where the disk does not give it, kStorage.
Manifest read_manifest(const GenerationPath& generation);

/// kModel when state.h5 is not the file that the manifest names.
void verify_state_file(const GenerationPath& generation, const Manifest& manifest);

/// Both, and a format that this program knows. Why not, in one line; nothing for a valid one.
std::optional<std::string> why_not_valid(const GenerationPath& generation);

/// "cannot read a file: ...: expected ..., found ...".
std::string in_one_line(const base::Error& error);

/// kModel: training state of a newer program.
[[noreturn]] void refuse_newer_format(const GenerationPath& generation, const Manifest& manifest);

}  // namespace baton::checkpoint
