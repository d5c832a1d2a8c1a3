#include "baton/run/run_record.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

using base::Json;
using base::OrderedJson;

OrderedJson to_json(const MadeBy& made_by) {
  return {{"host", made_by.host},
          {"time", made_by.time},
          {"num_ranks", made_by.num_ranks},
          {"threads_per_rank", made_by.threads_per_rank},
          {"instruction_set", made_by.instruction_set},
          {"seconds", made_by.seconds},
          {"libraries", made_by.libraries}};
}

MadeBy made_by_from_json(const Json& json) {
  MadeBy made_by;
  made_by.host = json.at("host").get<std::string>();
  made_by.time = json.at("time").get<std::string>();
  made_by.num_ranks = json.at("num_ranks").get<std::int64_t>();
  made_by.threads_per_rank = json.at("threads_per_rank").get<std::int64_t>();
  made_by.instruction_set = json.at("instruction_set").get<std::string>();
  made_by.seconds = json.at("seconds").get<double>();
  made_by.libraries = json.at("libraries").get<std::map<std::string, std::string>>();
  return made_by;
}

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
    json["files"][path] = {{"state", "done"},
                           {"sha256", file.sha256},
                           {"fingerprint", file.fingerprint},
                           {"task", file.task},
                           {"made_by", to_json(file.made_by)}};
  }
  json["replaced"] = OrderedJson::array();
  for (const ReplacedExpert& old : record.replaced) {
    json["replaced"].push_back({{"task", old.task},
                                {"from", old.from},
                                {"to", old.to},
                                {"fingerprint", old.fingerprint},
                                {"time", old.time}});
  }
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
      record.files[path] = {
          file.at("sha256").get<std::string>(), file.at("fingerprint").get<std::string>(),
          file.at("task").get<std::string>(), made_by_from_json(file.at("made_by"))};
    }
    for (const Json& old : json.at("replaced")) {
      record.replaced.push_back({old.at("task").get<std::string>(),
                                 old.at("from").get<std::string>(), old.at("to").get<std::string>(),
                                 old.at("fingerprint").get<std::string>(),
                                 old.at("time").get<std::string>()});
    }
    record.warnings = json.at("warnings").get<std::vector<std::string>>();
  } catch (const Json::exception& error) {
    refuse(origin, "config, tasks, files, replaced and warnings as this program writes them",
           error.what());
  }
  for (std::size_t i = 0; i < record.tasks.size(); ++i) {
    task_file_stem(i, record.tasks[i]);
  }
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
