#include "list_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>

#include "baton/base/text.hpp"
#include "baton/expert/expert_state.hpp"
#include "option_table.hpp"

namespace baton::config {

namespace {

// A task's name becomes part of file names and stands beside "base" in results.
void check_task_name(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.');
  });
  if (name.empty()) {
    throw ValueProblem{"an empty name in the list", "", "remove the comma too many"};
  }
  if (!plain || name.size() > 100 || name[0] == '.' || name[0] == '-') {
    throw ValueProblem{fmt::format("'{}' cannot be a task's name", name),
                       "up to 100 letters, digits, '_', '-' and '.', the first one no '-' or '.'",
                       "rename the entry in dataset_info.json"};
  }
  if (name == "base") {
    throw ValueProblem{"'base' cannot be a task's name: results use it for the base model", "",
                       "rename the entry in dataset_info.json"};
  }
}

void refuse_duplicates(const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (const auto& name : names) {
    if (!seen.insert(name).second) {
      throw ValueProblem{fmt::format("'{}' stands twice in the list", name), "each name once",
                         "remove one of the two"};
    }
  }
}

std::vector<std::string> read_tasks(const std::string& text) {
  auto names = base::split_list(text);
  std::for_each(names.begin(), names.end(), check_task_name);
  refuse_duplicates(names);
  return names;
}

}  // namespace

std::vector<std::string> read_general(const std::string& text) {
  const auto names = text == "none" ? std::vector<std::string>{} : read_tasks(text);
  if (std::find(names.begin(), names.end(), "none") != names.end()) {
    throw ValueProblem{"'none' stands beside other names", "", "give none alone, or leave it out"};
  }
  return names;
}

std::vector<std::string> read_required_tasks(const std::string& text) {
  auto names = read_tasks(text);
  if (names.empty()) {
    throw ValueProblem{};
  }
  return names;
}

std::vector<std::string> read_linears(const std::string& text) {
  const std::vector<std::string>& linears = expert::lora_target_names();
  if (text == "all") {
    return linears;
  }
  const auto names = base::split_list(text);
  refuse_duplicates(names);
  for (const auto& name : names) {
    if (std::find(linears.begin(), linears.end(), name) == linears.end()) {
      const auto nearest = base::nearest_name(name, linears);
      throw ValueProblem{fmt::format("unknown linear '{}'", name), "",
                         nearest ? fmt::format("did you mean '{}'?", *nearest) : ""};
    }
  }
  if (names.empty()) {
    throw ValueProblem{};
  }
  std::vector<std::string> ordered;
  std::copy_if(linears.begin(), linears.end(), std::back_inserter(ordered), [&](const auto& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
  return ordered;
}

std::vector<std::string> read_routers(const std::string& text) {
  auto names = base::split_list(text);
  refuse_duplicates(names);
  return names;
}

}  // namespace baton::config
