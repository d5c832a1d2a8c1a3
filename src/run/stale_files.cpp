#include "baton/run/stale_files.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "baton/base/log.hpp"
#include "baton/checkpoint/generation_folder.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

namespace fs = std::filesystem;

std::optional<std::int64_t> parse_pid(std::string_view text) {
  std::int64_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  const bool whole = error == std::errc{} && end == text.data() + text.size() && pid > 0;
  return whole && text.front() != '0' ? std::optional(pid) : std::nullopt;
}

// The writer of an unfinished file, nothing for a file with another kind of name. What another
// machine claimed a failure with is not ours to judge.
std::optional<std::int64_t> writer_of(std::string_view name) {
  constexpr std::string_view kTemporary = ".tmp.";
  const std::size_t place = name.rfind(kTemporary);
  if (place != std::string_view::npos && place > 0) {
    return parse_pid(name.substr(place + kTemporary.size()));
  }
  const std::string claim = "failure.json." + device::host_name() + ".";
  return name.starts_with(claim) ? parse_pid(name.substr(claim.size())) : std::nullopt;
}

bool is_gone(std::int64_t pid) {
  return pid == ::getpid() || device::process_start(pid) == 0;
}

class Removal {
 public:
  void files_in(const fs::path& folder) {
    for (const fs::path& path : entries_of(folder)) {
      std::error_code ignored;
      const auto writer = writer_of(path.filename().string());
      if (writer && is_gone(*writer) && fs::is_regular_file(fs::symlink_status(path, ignored))) {
        remove(path);
      }
    }
  }

  void generations_in(const fs::path& folder) {
    for (const fs::path& leftover : checkpoint::list_generations(folder).leftovers) {
      const auto writer = writer_of(leftover.filename().string());
      if (writer && is_gone(*writer)) {
        remove(leftover);
      }
    }
  }

  // Links to folders are none of ours.
  static std::vector<fs::path> entries_of(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    if (fs::is_directory(fs::symlink_status(folder, error))) {
      for (fs::directory_iterator place(folder, error), end; !error && place != end;
           place.increment(error)) {
        entries.push_back(place->path());
      }
    }
    return entries;
  }

  std::vector<fs::path> removed;

 private:
  void remove(const fs::path& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) {
      base::log_warning("run", fmt::format("cannot remove {}: {}", path.string(), error.message()));
    } else {
      removed.push_back(path);
    }
  }
};

}  // namespace

std::vector<fs::path> remove_stale_temporaries(const fs::path& run_root) noexcept {
  Removal removal;
  try {
    removal.files_in(fs::is_symlink(run_root) ? fs::canonical(run_root) : run_root);
    for (const char* folder : {"experts", "experts/replaced", "buffers", "logs", "eval"}) {
      removal.files_in(run_root / folder);
    }
    for (const fs::path& folder : Removal::entries_of(run_root / "checkpoints")) {
      std::error_code ignored;
      if (fs::is_directory(fs::symlink_status(folder, ignored))) {
        removal.generations_in(folder);
      }
    }
  } catch (const std::exception& error) {
    base::log_warning("run", error.what());
  }
  return std::move(removal.removed);
}

}  // namespace baton::run
