// Which runs can stand beside one another in one report.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/report/groups.hpp"
#include "baton/report/loaded_run.hpp"

namespace baton::report {
namespace {

using base::Error;
using base::ErrorKind;

[[noreturn]] void refuse(const std::string& what,
                         const LoadedRun& first,
                         const std::string& expected,
                         const LoadedRun& other,
                         const std::string& found) {
  throw Error(ErrorKind::kUsage, what,
              {.where = other.path.string(),
               .expected = expected + ", as in " + first.path.string(),
               .found = found,
               .fix = "make a report for each of the two"});
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

void check_queries(const LoadedRun& first, const LoadedRun& other) {
  for (std::size_t place = 0; place < first.tasks.size(); ++place) {
    const std::string& task = first.tasks[place];
    const std::vector<Query>& here = first.queries[place];
    const std::vector<Query>& there = other.queries[other.task_place(task)];
    const std::string what = "runs in one report must be asked the same queries";
    if (here.size() != there.size()) {
      refuse(what, first, fmt::format("{} queries of task {}", here.size(), task), other,
             fmt::format("{}", there.size()));
    }
    for (std::size_t i = 0; i < here.size(); ++i) {
      if (here[i].id != there[i].id || here[i].prompt != there[i].prompt) {
        refuse(what, first, fmt::format("{} as query {} of task {}", here[i].id, i + 1, task),
               other, here[i].id == there[i].id ? "that id with another prompt" : there[i].id);
      }
    }
  }
}

}  // namespace

void check_comparable(const std::vector<LoadedRun>& runs) {
  std::map<std::string, const LoadedRun*> seen;
  for (const LoadedRun& loaded : runs) {
    const LoadedRun& first = runs.front();
    if (sorted(loaded.tasks) != sorted(first.tasks)) {
      refuse("runs in one report must have the same tasks", first, base::join(first.tasks, ", "),
             loaded, base::join(loaded.tasks, ", "));
    }
    if (loaded.metric != first.metric) {
      refuse("runs in one report must have the same scorer", first, first.metric, loaded,
             loaded.metric);
    }
    check_queries(first, loaded);
    const std::string key =
        fmt::format("{}\n{}\n{}", settings_key(loaded), loaded.seed, base::join(loaded.tasks, ","));
    const auto [found, is_new] = seen.emplace(key, &loaded);
    if (!is_new) {
      throw Error(ErrorKind::kUsage, "two runs have the same settings, seed and task order",
                  {.where = loaded.path.string(),
                   .expected = "runs that differ in one of them",
                   .found = "what " + found->second->path.string() + " is, too",
                   .fix = "leave one of the two --run out: a copy is no second measurement"});
    }
  }
}

}  // namespace baton::report
