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
#include "baton/run/run_paths.hpp"

namespace baton::run {

inline constexpr std::int64_t kRunFormatVersion = 2;

/// By whom a file was made: kept outside fingerprints.
struct MadeBy {
  std::string host;
  std::string time;  // UTC, when finished
  std::int64_t num_ranks = 0;
  std::int64_t threads_per_rank = 0;
  std::string instruction_set;
  double seconds = 0;
  std::map<std::string, std::string> libraries;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("host", self.host);
    visit("time", self.time);
    visit("num_ranks", self.num_ranks);
    visit("threads_per_rank", self.threads_per_rank);
    visit("instruction_set", self.instruction_set);
    visit("seconds", self.seconds);
    visit("libraries", self.libraries);
  }
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

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("sha256", self.sha256);
    visit("fingerprint", self.fingerprint);
    visit("task", self.task);
    visit("made_by", self.made_by);
  }
};

struct ReplacedFile {
  std::string from;  // "experts/01-qa.h5"
  std::string to;    // "experts/replaced/01-qa.1.h5"
  std::string sha256;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("from", self.from);
    visit("to", self.to);
    visit("sha256", self.sha256);
  }
};

/// One task's expert (and buffer) that made place for another. It is done once: the same wish is
/// known by the fingerprint of the expert that was asked for.
struct Replacement {
  std::string task;
  std::string asked;                // fingerprint of the expert that takes the place
  std::string time;                 // UTC, when it was noted
  bool moved = true;                // false: noted, but not everything is moved yet
  std::vector<ReplacedFile> files;  // none where there was nothing yet

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("asked", self.asked);
    visit("time", self.time);
    visit("moved", self.moved);
    visit("files", self.files);
  }
};

/// run.json's content; fields() of its parts are its members there.
struct RunRecord {
  std::map<std::string, std::string> config;  // resolved: every key with its value
  std::vector<std::string> tasks;             // in order
  std::map<std::string, FileRecord> files;    // finished files by relative path
  std::vector<Replacement> replaced;          // in the order of time
  std::vector<std::string> warnings;          // settings that were changed by the program, and why
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
  /// A new run, of which nothing is on disk before save(). A folder that already has a run.json is
  /// a kUsage error.
  static RunFolder create(const std::filesystem::path& root, RunRecord record);
  /// No run.json: kUsage. Damaged or newer: kModel.
  static RunFolder load(const std::filesystem::path& root);
  static bool exists(const std::filesystem::path& root);
  /// The kUsage error of load() alone.
  static void require(const std::filesystem::path& root);

  /// Makes the folders that are missing and writes run.json in one step.
  void save() const;

  const RunPaths& paths() const { return paths_; }
  const std::filesystem::path& root() const { return paths_.root(); }
  RunRecord& record() { return record_; }
  const RunRecord& record() const { return record_; }

  /// Adds tasks at the end. The known ones must come first and in the same order, else kUsage.
  void extend_tasks(const std::vector<std::string>& tasks);

  // Relative paths of a task of the list ("experts/01-qa.h5"); an unknown task is kUsage with the
  // nearest name.
  std::string expert_file(const std::string& task) const {
    return paths_.expert_file(paths_.position_of(task));
  }
  std::string buffer_file(const std::string& task) const {
    return paths_.buffer_file(paths_.position_of(task));
  }
  std::string checkpoint_folder(const std::string& task) const {
    return paths_.checkpoint_folder(paths_.position_of(task));
  }
  std::filesystem::path path_of(const std::string& relative) const {
    return paths_.path_of(relative);
  }
  std::filesystem::path expert_path(const std::string& task) const {
    return path_of(expert_file(task));
  }
  std::filesystem::path buffer_path(const std::string& task) const {
    return path_of(buffer_file(task));
  }

  /// Notes a file on disk as finished (its SHA-256 is computed here); save() writes it down.
  void note_file(const std::string& relative,
                 const std::string& task,
                 const std::string& fingerprint,
                 const MadeBy& made_by);
  /// The same, and saves run.json.
  void record_file(const std::string& relative,
                   const std::string& task,
                   const std::string& fingerprint,
                   const MadeBy& made_by);

  /// Whether the file is on disk and does not stand there only because a replacement was cut off.
  bool has(const std::string& relative) const;
  /// Reads the whole file where there is one.
  FileCondition condition_of(const std::string& relative) const;

  /// kModel unless the file is there with the SHA-256 of run.json. An unrecorded file passes (false
  /// is returned).
  bool verify(const std::string& relative) const;

  /// The newest replacement of a task's expert; none: nullptr.
  const Replacement* replacement_of(const std::string& task) const;
  /// Notes that `files` of a task make place for what has the fingerprint `asked`: they go to
  /// <folder>/replaced/<name>.<n>.h5. Nothing moves before save() and finish_replacements().
  void note_replacement(const std::string& task,
                        const std::string& asked,
                        const std::vector<std::string>& files);
  /// Does what is noted and not done: moves the files, removes the training state of their experts,
  /// saves run.json. What is moved already stays, so a call that was cut off is made good by the
  /// next.
  void finish_replacements();

 private:
  RunFolder(std::filesystem::path root, RunRecord record);
  std::string free_name(const std::string& relative) const;

  RunPaths paths_;
  RunRecord record_;
};

/// kModel when the file's SHA-256 is another one.
void verify_file_sha256(const std::filesystem::path& path, const std::string& expected);

}  // namespace baton::run
