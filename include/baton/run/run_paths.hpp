#pragma once
// Where the files of a run lie: a value made of its folder and its task list, so every rank has
// one. Names are relative to the folder, as run.json stores them, so that a run can be moved;
// path_of() makes a path of one. Knows nothing of what is there (see run_record.hpp).

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace baton::run {

// What an evaluation leaves, relative to the run's folder.
inline constexpr const char* kResultsFile = "eval/results.json";
inline constexpr const char* kPredictionsFile = "eval/predictions.jsonl";

class RunPaths {
 public:
  RunPaths() = default;
  /// A task name that cannot be part of a file name, or one that comes twice: kUsage.
  RunPaths(std::filesystem::path root, std::vector<std::string> tasks);

  const std::filesystem::path& root() const { return root_; }
  const std::vector<std::string>& tasks() const { return tasks_; }
  /// Place of a task in the list; an unknown one is kUsage with the nearest name.
  std::size_t position_of(const std::string& task) const;

  // Of the task at a position of the list: "experts/01-qa.h5".
  std::string expert_file(std::size_t position) const { return named("experts/", position, ".h5"); }
  std::string buffer_file(std::size_t position) const { return named("buffers/", position, ".h5"); }
  std::string router_file(std::size_t position) const { return named("routers/", position, ".h5"); }
  std::string gate_file(std::size_t position) const {
    return named("routers/", position, ".gates.h5");
  }
  std::string log_file(std::size_t position) const { return named("logs/", position, ".jsonl"); }
  std::string tensorboard_folder(std::size_t position) const {
    return named("tensorboard/", position, "");
  }
  std::string checkpoint_folder(std::size_t position) const {
    return named("checkpoints/", position, "");
  }

  std::filesystem::path path_of(const std::string& relative) const { return root_ / relative; }
  std::filesystem::path run_file() const { return root_ / "run.json"; }
  std::filesystem::path eval_folder() const { return root_ / "eval"; }

 private:
  std::string named(const char* folder, std::size_t position, const char* ending) const;

  std::filesystem::path root_;
  std::vector<std::string> tasks_;
  std::vector<std::string> stems_;  // "01-qa"
};

/// "01-qa": two digits, more from position 100 on. A task name that cannot be part of a file name
/// (a slash, a control character, "..", a leading dot, over 100 bytes, empty) is kUsage.
std::string task_file_stem(std::size_t position, const std::string& task);

}  // namespace baton::run
