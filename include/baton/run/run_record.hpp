#pragma once
// The run folder and its run.json: which settings and tasks the run has, and the SHA-256 of every
// finished file. Only paths relative to the folder are stored, so a run can be moved. What differs
// between machines (host, time, ranks) stands here and not in the files themselves. Written by one
// process at a time (see run_lock.hpp).

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "baton/base/json.hpp"

namespace baton::run {

inline constexpr std::int64_t kRunFormatVersion = 1;

/// By whom a file was made: kept outside fingerprints.
struct MadeBy {
  std::string host;
  std::string time;  // UTC, when finished
  std::int64_t num_ranks = 0;
  std::int64_t threads_per_rank = 0;
  std::string instruction_set;
  double seconds = 0;
  std::map<std::string, std::string> libraries;
};

/// Host, time, instruction set and known libraries of this process; the rest is the caller's.
MadeBy made_here();
/// Of a file that lay there when the folder was opened: nobody knows any more.
MadeBy made_by_unknown();

struct FileRecord {
  std::string sha256;
  std::string fingerprint;  // "" for files that have none
  std::string task;         // "" for files of no task
  MadeBy made_by;
};

struct ReplacedExpert {
  std::string task;
  std::string from;  // "experts/01-qa.h5"
  std::string to;    // "experts/replaced/01-qa.1.h5"
  std::string fingerprint;
  std::string time;
};

struct RunRecord {
  std::map<std::string, std::string> config;  // resolved: every key with its value
  std::vector<std::string> tasks;             // in order
  std::map<std::string, FileRecord> files;    // finished files by relative path
  std::vector<ReplacedExpert> replaced;
  std::vector<std::string> warnings;  // settings that were changed by the program, and why
};

base::OrderedJson to_json(const RunRecord& record);
/// `origin` is the file an error names. A newer format, missing or ill-typed parts, paths that
/// leave the folder: kModel.
RunRecord run_record_from_json(const base::Json& json, const std::string& origin);

/// How a finished file stands on disk.
enum class FileCondition {
  kAbsent,      // neither on disk nor in run.json
  kUnrecorded,  // on disk but not in run.json: the program ended between the two; its own checksums
                // decide
  kMissing,     // in run.json but not on disk
  kDamaged,     // on disk with another SHA-256
  kOk
};
const char* condition_name(FileCondition condition) noexcept;

class RunFolder {
 public:
  /// Makes the folders and run.json. A folder that already has a run.json is a kUsage error.
  static RunFolder create(const std::filesystem::path& root, RunRecord record);
  /// No run.json: kUsage. Damaged or newer: kModel.
  static RunFolder load(const std::filesystem::path& root);
  static bool exists(const std::filesystem::path& root);

  /// Writes run.json in one step.
  void save() const;

  const std::filesystem::path& root() const { return root_; }
  RunRecord& record() { return record_; }
  const RunRecord& record() const { return record_; }

  /// Adds tasks at the end. The known ones must come first and in the same order, else kUsage.
  void extend_tasks(const std::vector<std::string>& tasks);

  // Relative paths of a task of the list ("experts/01-qa.h5"); an unknown task is kUsage with the
  // nearest name.
  std::string expert_file(const std::string& task) const;
  std::string buffer_file(const std::string& task) const;
  std::string log_file(const std::string& task) const;
  std::string checkpoint_folder(const std::string& task) const;

  std::filesystem::path path_of(const std::string& relative) const { return root_ / relative; }
  std::filesystem::path expert_path(const std::string& task) const {
    return root_ / expert_file(task);
  }
  std::filesystem::path buffer_path(const std::string& task) const {
    return root_ / buffer_file(task);
  }
  std::filesystem::path log_path(const std::string& task) const { return root_ / log_file(task); }
  std::filesystem::path eval_folder() const { return root_ / "eval"; }
  std::filesystem::path report_path() const { return root_ / "report.html"; }

  /// Notes a file on disk as finished (its SHA-256 is computed here) and saves run.json.
  void record_file(const std::string& relative,
                   const std::string& task,
                   const std::string& fingerprint,
                   const MadeBy& made_by);

  /// Reads the whole file where there is one.
  FileCondition condition_of(const std::string& relative) const;

  /// kModel unless the file is there with the SHA-256 of run.json. An unrecorded file passes (false
  /// is returned).
  bool verify(const std::string& relative) const;

  /// Moves the expert of a task to experts/replaced/NN-task.<n>.h5 and notes that; returns the new
  /// relative path,
  /// "" when there was no file.
  std::string move_aside(const std::string& task);

 private:
  RunFolder(std::filesystem::path root, RunRecord record);
  std::string numbered_name(const std::string& task) const;  // "01-qa"

  std::filesystem::path root_;
  RunRecord record_;
};

/// kModel when the file's SHA-256 is another one.
void verify_file_sha256(const std::filesystem::path& path, const std::string& expected);

/// "01-qa": two digits, more from position 100 on. A task name that cannot be part of a file name
/// (a slash, a control character, "..", a leading dot, over 100 bytes, empty) is kUsage.
std::string task_file_stem(std::size_t position, const std::string& task);

}  // namespace baton::run
