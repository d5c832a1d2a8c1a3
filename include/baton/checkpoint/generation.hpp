#pragma once
// Training state on disk: RUN/checkpoints/01-qa/step-00000012/ is one generation, made in this
// order, each file and the folder synced before the next begins: state.h5, manifest.json (size and
// SHA-256 of each file, format, facts), COMPLETE (the SHA-256 of the manifest). It is built under a
// temporary name and renamed before the marker is written; a folder without a valid marker does not
// count. Names alone say what is newer, no times. One process writes, any reads.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "baton/expert/training_state.hpp"

namespace baton::checkpoint {

inline constexpr std::int64_t kTrainingStateFormatVersion = 2;
inline constexpr int kGenerationsKept = 2;

/// Writes one generation and then removes what is older than the newest kGenerationsKept valid ones
/// (what cannot be removed is logged). Any failure is kStorage with file and errno, leaves the
/// generations before it as they are and removes what it had begun. A valid generation of this step
/// and identity stays as it is, a damaged one is replaced. Returns the folder.
std::filesystem::path save_generation(const std::filesystem::path& folder,
                                      const expert::TrainingState& state);

struct NewestGeneration {
  std::optional<expert::TrainingState> state;  // nothing: no generation is valid
  std::filesystem::path path;
  std::vector<std::string> passed_over;  // newer ones that are not valid: a line each, with why
};

/// The newest valid generation; one of an older format is passed over. One of a newer format than
/// this program's: kModel, in words, for it is not damage.
NewestGeneration load_newest_generation(const std::filesystem::path& folder);

/// The facts of the newest valid generation without its arrays (manifest.json alone is read): its
/// identity and step.
struct GenerationFacts {
  std::filesystem::path path;
  expert::Identity identity;
  std::int64_t step = 0;
  std::int64_t num_updates = 0;
};
std::optional<GenerationFacts> peek_newest_generation(const std::filesystem::path& folder);

/// Removes all generations and leftovers of interrupted saves, and the folder. Never throws; a file
/// that cannot be removed is logged.
void remove_generations(const std::filesystem::path& folder) noexcept;

/// Bytes that one generation of P parameters takes at most; `keeps_best`: and those of the lowest
/// validation loss beside them.
std::uint64_t generation_bytes(std::int64_t num_parameters, bool keeps_best = false);

/// kStorage when the file system of `folder` has less than `bytes` free for this user, naming both
/// numbers.
void check_free_space(const std::filesystem::path& folder,
                      std::uint64_t bytes,
                      const std::string& what);

}  // namespace baton::checkpoint
