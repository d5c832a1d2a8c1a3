#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/device/host.hpp"
#include "baton/run/run_record.hpp"

namespace baton::run {

namespace {

constexpr const char* kRunFile = "run.json";

void require_distinct(const std::vector<std::string>& tasks) {
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    task_file_stem(i, tasks[i]);
    if (std::find(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(i), tasks[i]) !=
        tasks.begin() + static_cast<std::ptrdiff_t>(i)) {
      throw base::Error(base::ErrorKind::kUsage, "two tasks have one name",
                        {.where = "data.tasks",
                         .expected = "every task once",
                         .found = tasks[i] + " twice",
                         .fix = "remove or rename one of them"});
    }
  }
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path root, RunRecord record)
    : root_(std::move(root)), record_(std::move(record)) {}

bool RunFolder::exists(const std::filesystem::path& root) {
  std::error_code ignored;
  return std::filesystem::exists(root / kRunFile, ignored);
}

RunFolder RunFolder::create(const std::filesystem::path& root, RunRecord record) {
  require_distinct(record.tasks);
  if (exists(root)) {
    throw base::Error(base::ErrorKind::kUsage, "the folder already holds a run",
                      {.where = root.string(),
                       .expected = "a new or empty folder",
                       .found = "run.json",
                       .fix = "choose another output_dir, or go on with this run"});
  }
  for (const char* folder : {"experts", "buffers", "logs", "eval"}) {
    base::make_directories(root / folder);
  }
  RunFolder run(root, std::move(record));
  run.save();
  return run;
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
  base::write_file_atomically(root_ / kRunFile, to_json(record_).dump(2) + "\n");
}

void RunFolder::extend_tasks(const std::vector<std::string>& tasks) {
  require_distinct(tasks);
  const bool is_prefix = tasks.size() >= record_.tasks.size() &&
                         std::equal(record_.tasks.begin(), record_.tasks.end(), tasks.begin());
  if (!is_prefix) {
    throw base::Error(base::ErrorKind::kUsage, "the run folder was made for another order of tasks",
                      {.where = root_.string() + ", data.tasks",
                       .expected = "first " + base::join(record_.tasks, ", ") + ", then new tasks",
                       .found = base::join(tasks, ", "),
                       .fix = "add new tasks at the end, or choose another output_dir"});
  }
  record_.tasks = tasks;
}

std::string RunFolder::numbered_name(const std::string& task) const {
  const auto place = std::find(record_.tasks.begin(), record_.tasks.end(), task);
  if (place == record_.tasks.end()) {
    const auto nearest = base::nearest_name(task, record_.tasks);
    throw base::Error(base::ErrorKind::kUsage, "the run has no task of this name",
                      {.where = root_.string(),
                       .expected = "one of " + base::join(record_.tasks, ", "),
                       .found = task,
                       .fix = nearest ? "did you mean " + *nearest + "?" : "check the name"});
  }
  return task_file_stem(static_cast<std::size_t>(place - record_.tasks.begin()), task);
}

std::string RunFolder::expert_file(const std::string& task) const {
  return "experts/" + numbered_name(task) + ".h5";
}
std::string RunFolder::buffer_file(const std::string& task) const {
  return "buffers/" + numbered_name(task) + ".h5";
}
std::string RunFolder::log_file(const std::string& task) const {
  return "logs/" + numbered_name(task) + ".jsonl";
}
std::string RunFolder::checkpoint_folder(const std::string& task) const {
  return "checkpoints/" + numbered_name(task);
}

void RunFolder::record_file(const std::string& relative,
                            const std::string& task,
                            const std::string& fingerprint,
                            const MadeBy& made_by) {
  record_.files[relative] = {base::sha256_file(root_ / relative), fingerprint, task, made_by};
  save();
}

FileCondition RunFolder::condition_of(const std::string& relative) const {
  const auto recorded = record_.files.find(relative);
  std::error_code ignored;
  const bool on_disk = std::filesystem::exists(root_ / relative, ignored);
  if (recorded == record_.files.end()) {
    return on_disk ? FileCondition::kUnrecorded : FileCondition::kAbsent;
  }
  if (!on_disk) {
    return FileCondition::kMissing;
  }
  return base::sha256_file(root_ / relative) == recorded->second.sha256 ? FileCondition::kOk
                                                                        : FileCondition::kDamaged;
}

bool RunFolder::verify(const std::string& relative) const {
  const auto recorded = record_.files.find(relative);
  if (recorded == record_.files.end()) {
    return false;
  }
  verify_file_sha256(root_ / relative, recorded->second.sha256);
  return true;
}

std::string RunFolder::move_aside(const std::string& task) {
  const std::string from = expert_file(task);
  const auto recorded = record_.files.find(from);
  const std::string fingerprint =
      recorded == record_.files.end() ? "" : recorded->second.fingerprint;
  std::string to;
  if (std::filesystem::exists(root_ / from)) {
    base::make_directories(root_ / "experts/replaced");
    for (int number = 1; to.empty() || std::filesystem::exists(root_ / to); ++number) {
      to = fmt::format("experts/replaced/{}.{}.h5", numbered_name(task), number);
    }
    base::rename_path(root_ / from, root_ / to);
    record_.replaced.push_back({task, from, to, fingerprint, device::utc_time()});
  }
  record_.files.erase(from);
  save();
  return to;
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
