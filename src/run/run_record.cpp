#include "baton/run/run_record.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/base/wire.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

using base::Json;
using base::OrderedJson;

[[noreturn]] void refuse(const std::string& origin,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(
      base::ErrorKind::kModel, "run.json cannot be used",
      {.where = origin,
       .expected = expected,
       .found = found,
       .fix = "restore run.json from a copy; or move the experts and buffers aside and train again "
              "into an empty folder"});
}

void require_inside(const std::string& relative, const std::string& origin) {
  const std::filesystem::path path(relative);
  const bool leaves =
      std::any_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
  if (relative.empty() || path.is_absolute() || leaves) {
    refuse(origin, "paths inside the run folder", relative);
  }
}

void check_version(const Json& json, const std::string& origin) {
  if (!json.is_object() || !json.contains("format_version") ||
      !json["format_version"].is_number_integer()) {
    refuse(origin, "an object with the integer format_version", "none");
  }
  const auto version = json["format_version"].get<std::int64_t>();
  if (version > kRunFormatVersion) {
    throw base::Error(base::ErrorKind::kModel,
                      "a run folder was written by a newer version of this program",
                      {.where = origin,
                       .expected = fmt::format("format_version 1 to {}", kRunFormatVersion),
                       .found = fmt::format("format_version {}", version),
                       .fix = "use the version of the program that wrote it"});
  }
  if (version < 1) {
    refuse(origin, fmt::format("format_version 1 to {}", kRunFormatVersion),
           std::to_string(version));
  }
}

Replacement replacement_from_json(const Json& json, const std::string& origin) {
  Replacement replacement;
  if (json.contains("from")) {  // version 1: the old file's place alone
    replacement.task = json.at("task").get<std::string>();
    replacement.time = json.at("time").get<std::string>();
    replacement.files.push_back(
        {json.at("from").get<std::string>(), json.at("to").get<std::string>(), ""});
  } else {
    base::read_json(json, replacement);
  }
  for (const ReplacedFile& file : replacement.files) {
    require_inside(file.from, origin + ", replaced");
    require_inside(file.to, origin + ", replaced");
  }
  return replacement;
}

void check_tasks(const std::vector<std::string>& tasks, const std::string& origin) {
  if (tasks.empty()) {
    refuse(origin + ", tasks", "the names of the run's tasks", "no task");
  }
  try {
    RunPaths({}, tasks);
  } catch (const base::Error& error) {
    refuse(origin + ", tasks", error.details().expected, error.details().found);
  }
}

}  // namespace

MadeBy made_here() {
  MadeBy made_by;
  made_by.host = device::host_name();
  made_by.time = device::utc_time();
  made_by.instruction_set = device::instruction_set();
  made_by.libraries = {{"hdf5", checkpoint::h5_library_version()}};
  return made_by;
}

MadeBy made_by_unknown() {
  MadeBy made_by;
  made_by.host = "unknown";
  return made_by;
}

OrderedJson to_json(const RunRecord& record) {
  OrderedJson json;
  json["format_version"] = kRunFormatVersion;
  json["config"] = record.config;
  json["tasks"] = record.tasks;
  json["files"] = OrderedJson::object();
  for (const auto& [path, file] : record.files) {
    json["files"][path] = {{"state", "done"}};
    json["files"][path].update(base::json_object(file));
  }
  json["replaced"] = base::json_of(record.replaced);
  json["warnings"] = record.warnings;
  return json;
}

RunRecord run_record_from_json(const Json& json, const std::string& origin) {
  check_version(json, origin);
  RunRecord record;
  try {
    record.config = json.at("config").get<std::map<std::string, std::string>>();
    record.tasks = json.at("tasks").get<std::vector<std::string>>();
    for (const auto& [path, file] : json.at("files").items()) {
      require_inside(path, origin + ", files");
      base::read_json(file, record.files[path]);
    }
    for (const Json& old : json.at("replaced")) {
      record.replaced.push_back(replacement_from_json(old, origin));
    }
    record.warnings = json.at("warnings").get<std::vector<std::string>>();
  } catch (const Json::exception& error) {
    refuse(origin, "config, tasks, files, replaced and warnings as this program writes them",
           error.what());
  }
  check_tasks(record.tasks, origin);
  return record;
}

const char* condition_name(FileCondition condition) noexcept {
  switch (condition) {
    case FileCondition::kAbsent:
      return "absent";
    case FileCondition::kUnrecorded:
      return "unrecorded";
    case FileCondition::kMissing:
      return "missing";
    case FileCondition::kDamaged:
      return "damaged";
    case FileCondition::kOk:
      break;
  }
  return "ok";
}

}  // namespace baton::run
