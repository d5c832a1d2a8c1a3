#include "baton/checkpoint/generation.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/generation_folder.hpp"
#include "baton/checkpoint/training_state_file.hpp"

namespace baton::checkpoint {

namespace {

// Best effort: what cannot be removed costs space, nothing else. Without its marker a generation
// does not count, so what an interrupted removal leaves is not taken for one.
void remove_quietly(const std::filesystem::path& path) noexcept {
  try {
    std::error_code error;
    if (std::filesystem::is_directory(std::filesystem::symlink_status(path, error))) {
      std::filesystem::remove(path / kMarkerFile, error);
    }
    std::filesystem::remove_all(path, error);
    if (error) {
      base::log_warning("checkpoint",
                        fmt::format("cannot remove {}: {}", path.string(), error.message()));
    }
  } catch (const std::exception&) {  // no memory for a path or a line
  }
}

// Removes a path unless it is kept.
class RemovedOnFailure {
 public:
  explicit RemovedOnFailure(std::filesystem::path path) : path_(std::move(path)) {}
  RemovedOnFailure(const RemovedOnFailure&) = delete;
  RemovedOnFailure& operator=(const RemovedOnFailure&) = delete;
  ~RemovedOnFailure() {
    if (!path_.empty()) {
      remove_quietly(path_);
    }
  }
  void is_now(const std::filesystem::path& path) { path_ = path; }
  void keep() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

bool is_there_already(const GenerationPath& generation, const expert::TrainingState& state) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(generation.path, ignored))) {
    return false;
  }
  Manifest manifest;
  try {
    manifest = read_manifest(generation);
    if (!manifest.is_newer_format()) {
      verify_state_file(generation, manifest);
      return manifest.identity.fingerprint() == state.identity.fingerprint() &&
             manifest.num_updates == state.num_updates;
    }
  } catch (const base::Error&) {
    return false;
  }
  refuse_newer_format(generation, manifest);
}

// Goes from the newest to the oldest; what lies below the last one kept is of no use any more.
// Damaged ones do not count, so they never push a whole one out.
void remove_old_generations(const std::filesystem::path& folder) {
  int num_valid = 0;
  for (const GenerationPath& generation : list_generations(folder).generations) {
    if (num_valid == kGenerationsKept) {
      remove_quietly(generation.path);
    } else if (!why_not_valid(generation)) {
      ++num_valid;
    }
  }
}

void write_generation(const std::filesystem::path& folder,
                      const std::filesystem::path& path,
                      const expert::TrainingState& state) {
  const std::filesystem::path temporary = base::temporary_name(path);
  base::make_directories(folder);
  RemovedOnFailure begun(temporary);
  base::make_directories(temporary);
  std::string manifest;
  {
    H5File file = build_training_state(temporary / kStateFile, state);
    const std::string_view image = file.finish_image();
    base::write_new_file(temporary / kStateFile, image);
    manifest = manifest_text(state, image);
  }
  base::write_new_file(temporary / kManifestFile, manifest);
  base::sync_folder(temporary);
  remove_quietly(path);  // a damaged one of this step
  base::rename_path(temporary, path);
  begun.is_now(path);
  base::sync_folder(folder);
  base::write_new_file(path / kMarkerFile, base::sha256_hex(manifest) + "\n");
  base::sync_folder(path);
  begun.keep();
}

// The state of one generation; kModel or kStorage when it is not to be had.
expert::TrainingState read_generation(const GenerationPath& generation, const Manifest& manifest) {
  verify_state_file(generation, manifest);
  expert::TrainingState state = read_training_state(generation.path / kStateFile);
  const bool agrees =
      state.step == manifest.step && state.task == manifest.task &&
      state.num_updates == manifest.num_updates &&
      static_cast<std::int64_t>(state.parameters.size()) == manifest.num_parameters &&
      state.identity.facts() == manifest.identity.facts();
  if (!agrees) {
    throw base::Error(base::ErrorKind::kModel, "training state and its manifest disagree",
                      {.where = generation.path.string(),
                       .expected = "one task, identity, size and step",
                       .found = "others",
                       .fix = "delete the folder"});
  }
  return state;
}

std::string passed_over_line(const GenerationPath& generation, const base::Error& error) {
  return fmt::format("passed over {}: {}", generation.path.string(), in_one_line(error));
}

// `path` or the nearest folder above it that is there.
std::filesystem::path existing_part(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path place = std::filesystem::absolute(path, ignored);
  while (place.has_relative_path() && !std::filesystem::exists(place, ignored)) {
    place = place.parent_path();
  }
  return place;
}

}  // namespace

std::filesystem::path save_generation(const std::filesystem::path& folder,
                                      const expert::TrainingState& state) {
  const std::filesystem::path path = folder / generation_name(state.step);
  for (const std::filesystem::path& leftover : list_generations(folder).leftovers) {
    remove_quietly(leftover);
  }
  if (!is_there_already({path, state.step}, state)) {
    write_generation(folder, path, state);
  }
  remove_old_generations(folder);
  return path;
}

NewestGeneration load_newest_generation(const std::filesystem::path& folder) {
  NewestGeneration newest;
  for (const GenerationPath& generation : list_generations(folder).generations) {
    try {
      const Manifest manifest = read_manifest(generation);
      if (!manifest.is_newer_format()) {
        newest.state = read_generation(generation, manifest);
        newest.path = generation.path;
        return newest;
      }
    } catch (const base::Error& error) {
      newest.passed_over.push_back(passed_over_line(generation, error));
      continue;
    }
    refuse_newer_format(generation, read_manifest(generation));
  }
  return newest;
}

std::optional<GenerationFacts> peek_newest_generation(const std::filesystem::path& folder) {
  for (const GenerationPath& generation : list_generations(folder).generations) {
    Manifest manifest;
    try {
      manifest = read_manifest(generation);
    } catch (const base::Error&) {
      continue;
    }
    if (manifest.is_newer_format()) {
      refuse_newer_format(generation, manifest);
    }
    return GenerationFacts{generation.path, manifest.identity, manifest.step, manifest.num_updates};
  }
  return std::nullopt;
}

void remove_generations(const std::filesystem::path& folder) noexcept {
  try {
    const FolderContent content = list_generations(folder);
    for (const std::filesystem::path& leftover : content.leftovers) {
      remove_quietly(leftover);
    }
    // The oldest first: were this interrupted, the newest is what is left.
    for (auto place = content.generations.rbegin(); place != content.generations.rend(); ++place) {
      remove_quietly(place->path);
    }
    if (::rmdir(folder.c_str()) != 0 && errno != ENOENT) {
      base::log_warning("checkpoint",
                        fmt::format("cannot remove {}: {}", folder.string(), std::strerror(errno)));
    }
  } catch (const std::exception& error) {
    base::log_warning("checkpoint", error.what());
  }
}

std::uint64_t generation_bytes(std::int64_t num_parameters, bool keeps_best) {
  const std::uint64_t num_vectors = keeps_best ? 4 : 3;     // parameters, two moments, the best
  constexpr std::uint64_t kFacts = std::uint64_t{1} << 20;  // attributes, manifest, file structure
  const std::uint64_t vector_bytes = 4 * static_cast<std::uint64_t>(num_parameters);
  return num_vectors * (vector_bytes + vector_bytes / 4096) + kFacts;
}

void check_free_space(const std::filesystem::path& folder,
                      std::uint64_t bytes,
                      const std::string& what) {
  const std::filesystem::path existing = existing_part(folder);
  struct statvfs facts {};
  if (::statvfs(existing.c_str(), &facts) != 0) {
    throw base::Error(base::ErrorKind::kStorage, "cannot ask how much space is free",
                      {.where = existing.string(),
                       .expected = "",
                       .found = fmt::format("{} (errno {})", std::strerror(errno), errno),
                       .fix = "check the path and its permissions"});
  }
  const std::uint64_t available = std::uint64_t{facts.f_bavail} * facts.f_frsize;
  if (available < bytes) {
    throw base::Error(
        base::ErrorKind::kStorage, "not enough free space for " + what,
        {.where = folder.string(),
         .expected = fmt::format("{} ({} bytes) free", base::format_bytes(bytes), bytes),
         .found = fmt::format("{} ({} bytes) free", base::format_bytes(available), available),
         .fix = "free space or choose another output_dir (a quota of this user cannot be seen here "
                "and may allow even less)"});
  }
}

}  // namespace baton::checkpoint
