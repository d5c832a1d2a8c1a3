#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/device/host.hpp"
#include "baton/run/run_record.hpp"

namespace baton::run {

namespace {

constexpr const char* kRunFile = "run.json";

}  // namespace

RunFolder::RunFolder(std::filesystem::path root, RunRecord record)
    : paths_(std::move(root), record.tasks), record_(std::move(record)) {}

bool RunFolder::exists(const std::filesystem::path& root) {
  std::error_code ignored;
  return std::filesystem::exists(root / kRunFile, ignored);
}

RunFolder RunFolder::create(const std::filesystem::path& root, RunRecord record) {
  if (exists(root)) {
    throw base::Error(base::ErrorKind::kUsage, "the folder already holds a run",
                      {.where = root.string(),
                       .expected = "a new or empty folder",
                       .found = "run.json",
                       .fix = "choose another output_dir, or go on with this run"});
  }
  return {root, std::move(record)};
}

void RunFolder::require(const std::filesystem::path& root) {
  if (!exists(root)) {
    throw base::Error(
        base::ErrorKind::kUsage, "no run in this folder",
        {.where = root.string(),
         .expected = "a run folder with run.json",
         .found = std::filesystem::is_directory(root) ? "a folder without it" : "no such folder",
         .fix = "check the path, or train first"});
  }
}

RunFolder RunFolder::load(const std::filesystem::path& root) {
  require(root);
  const std::filesystem::path path = root / kRunFile;
  return {root,
          run_record_from_json(base::read_json_file(path, base::ErrorKind::kModel), path.string())};
}

void RunFolder::save() const {
  for (const char* folder : {"experts", "buffers", "logs", "eval"}) {
    base::make_directories(root() / folder);
  }
  base::write_file_atomically(paths_.run_file(), to_json(record_).dump(2) + "\n");
}

void RunFolder::extend_tasks(const std::vector<std::string>& tasks) {
  RunPaths paths(root(), tasks);
  const bool is_prefix = tasks.size() >= record_.tasks.size() &&
                         std::equal(record_.tasks.begin(), record_.tasks.end(), tasks.begin());
  if (!is_prefix) {
    throw base::Error(base::ErrorKind::kUsage, "the run folder was made for another order of tasks",
                      {.where = root().string() + ", data.tasks",
                       .expected = "first " + base::join(record_.tasks, ", ") + ", then new tasks",
                       .found = base::join(tasks, ", "),
                       .fix = "add new tasks at the end, or choose another output_dir"});
  }
  record_.tasks = tasks;
  paths_ = std::move(paths);
}

void RunFolder::note_file(const std::string& relative,
                          const std::string& task,
                          const std::string& fingerprint,
                          const MadeBy& made_by) {
  record_.files[relative] = {base::sha256_file(path_of(relative)), fingerprint, task, made_by};
}

void RunFolder::record_file(const std::string& relative,
                            const std::string& task,
                            const std::string& fingerprint,
                            const MadeBy& made_by) {
  note_file(relative, task, fingerprint, made_by);
  save();
}

bool RunFolder::has(const std::string& relative) const {
  for (const Replacement& replacement : record_.replaced) {
    for (const ReplacedFile& file : replacement.files) {
      if (!replacement.moved && file.from == relative) {
        return false;
      }
    }
  }
  std::error_code ignored;
  return std::filesystem::exists(path_of(relative), ignored);
}

FileCondition RunFolder::condition_of(const std::string& relative) const {
  const auto recorded = record_.files.find(relative);
  const bool on_disk = has(relative);
  if (recorded == record_.files.end()) {
    return on_disk ? FileCondition::kUnrecorded : FileCondition::kAbsent;
  }
  if (!on_disk) {
    return FileCondition::kMissing;
  }
  return base::sha256_file(path_of(relative)) == recorded->second.sha256 ? FileCondition::kOk
                                                                         : FileCondition::kDamaged;
}

bool RunFolder::verify(const std::string& relative) const {
  const auto recorded = record_.files.find(relative);
  if (recorded == record_.files.end()) {
    return false;
  }
  verify_file_sha256(path_of(relative), recorded->second.sha256);
  return true;
}

const Replacement* RunFolder::replacement_of(const std::string& task) const {
  const auto newest = std::find_if(record_.replaced.rbegin(), record_.replaced.rend(),
                                   [&](const Replacement& old) { return old.task == task; });
  return newest == record_.replaced.rend() ? nullptr : &*newest;
}

// "experts/replaced/01-qa.2.h5" for "experts/01-qa.h5": the first number that nothing has.
std::string RunFolder::free_name(const std::string& relative) const {
  const std::filesystem::path path(relative);
  for (int number = 1;; ++number) {
    const std::string name =
        (path.parent_path() / "replaced" /
         fmt::format("{}.{}{}", path.stem().string(), number, path.extension().string()))
            .string();
    if (!std::filesystem::exists(path_of(name))) {
      return name;
    }
  }
}

void RunFolder::note_replacement(const std::string& task,
                                 const std::string& asked,
                                 const std::vector<std::string>& files) {
  Replacement replacement{task, asked, device::utc_time(), false, {}};
  for (const std::string& file : files) {
    if (has(file)) {
      replacement.files.push_back({file, free_name(file), base::sha256_file(path_of(file))});
    }
    record_.files.erase(file);
  }
  record_.replaced.push_back(std::move(replacement));
}

void RunFolder::finish_replacements() {
  bool changed = false;
  for (Replacement& replacement : record_.replaced) {
    if (replacement.moved) {
      continue;
    }
    for (const ReplacedFile& file : replacement.files) {
      const std::filesystem::path from = path_of(file.from);
      const std::filesystem::path to = path_of(file.to);
      base::make_directories(to.parent_path());
      if (std::filesystem::exists(from) && !std::filesystem::exists(to)) {
        base::rename_path(from, to);
        base::sync_folder(to.parent_path());
        base::sync_folder(from.parent_path());
      }
    }
    checkpoint::remove_generations(path_of(checkpoint_folder(replacement.task)));
    replacement.moved = true;
    changed = true;
  }
  if (changed) {
    save();
  }
}

void verify_file_sha256(const std::filesystem::path& path, const std::string& expected) {
  if (!std::filesystem::exists(path)) {
    throw base::Error(base::ErrorKind::kModel, "a finished file is missing",
                      {.where = path.string(),
                       .expected = "the file that run.json lists",
                       .found = "no such file",
                       .fix = "restore it from a copy, or run train again to make it anew"});
  }
  const std::string found = base::sha256_file(path);
  if (found != expected) {
    throw base::Error(
        base::ErrorKind::kModel, "a finished file was changed or damaged",
        {.where = path.string(),
         .expected = "SHA-256 " + expected,
         .found = "SHA-256 " + found,
         .fix = "restore it from a copy, or delete it and run train again to make it anew"});
  }
}

}  // namespace baton::run
