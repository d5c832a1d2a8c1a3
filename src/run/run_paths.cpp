#include "baton/run/run_paths.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::run {

RunPaths::RunPaths(std::filesystem::path root, std::vector<std::string> tasks)
    : root_(std::move(root)), tasks_(std::move(tasks)) {
  std::set<std::string> seen;
  for (std::size_t position = 0; position < tasks_.size(); ++position) {
    stems_.push_back(task_file_stem(position, tasks_[position]));
    if (!seen.insert(tasks_[position]).second) {
      throw base::Error(base::ErrorKind::kUsage, "two tasks have one name",
                        {.where = "data.tasks",
                         .expected = "every task once",
                         .found = tasks_[position] + " twice",
                         .fix = "remove or rename one of them"});
    }
  }
}

std::size_t RunPaths::position_of(const std::string& task) const {
  const auto place = std::find(tasks_.begin(), tasks_.end(), task);
  if (place == tasks_.end()) {
    const auto nearest = base::nearest_name(task, tasks_);
    throw base::Error(base::ErrorKind::kUsage, "the run has no task of this name",
                      {.where = root_.string(),
                       .expected = "one of " + base::join(tasks_, ", "),
                       .found = task,
                       .fix = nearest ? "did you mean " + *nearest + "?" : "check the name"});
  }
  return static_cast<std::size_t>(place - tasks_.begin());
}

std::string RunPaths::named(const char* folder, std::size_t position, const char* ending) const {
  return folder + stems_.at(position) + ending;
}

std::string task_file_stem(std::size_t position, const std::string& task) {
  constexpr std::size_t kMaxBytes = 100;
  std::string problem;
  if (task.empty()) {
    problem = "an empty name";
  } else if (task.size() > kMaxBytes) {
    problem = fmt::format("{} bytes", task.size());
  } else if (task.front() == '.') {
    problem = "a leading dot";
  } else if (task.find("..") != std::string::npos) {
    problem = "\"..\"";
  } else if (base::find_invalid_utf8(task)) {
    problem = "bytes that are not UTF-8";
  } else if (std::any_of(task.begin(), task.end(), [](char c) {
               return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
             })) {
    problem = "a slash, a backslash or a control character";
  }
  if (!problem.empty()) {
    throw base::Error(
        base::ErrorKind::kUsage, "a task name cannot be part of a file name",
        {.where = fmt::format("data.tasks, task {}", position + 1),
         .expected =
             "1 to 100 bytes of UTF-8 without slashes, control characters, \"..\" or a leading dot",
         .found = problem,
         .fix = "give the task another name in dataset_info.json"});
  }
  return fmt::format("{:02}-{}", position + 1, task);
}

}  // namespace baton::run
