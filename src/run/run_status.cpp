#include "baton/run/run_status.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

constexpr int kStatusFormat = 1;

std::filesystem::path status_path(const std::filesystem::path& run) {
  return run / "status.json";
}
std::filesystem::path failure_path(const std::filesystem::path& run) {
  return run / "failure.json";
}

std::string to_text(const RunStatus& status) {
  const base::OrderedJson json{
      {"format", kStatusFormat},       {"state", status.state},    {"command", status.command},
      {"exit_code", status.exit_code}, {"kind", status.kind},      {"error", status.error},
      {"rank", status.rank},           {"host", status.host},      {"pid", status.pid},
      {"started", status.started},     {"updated", status.updated}};
  // An error may quote bytes that are not UTF-8; the file stays readable.
  return json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n";
}

RunStatus from_file(const std::filesystem::path& path) {
  const base::Json json = base::read_json_file(path, base::ErrorKind::kModel);
  try {
    RunStatus status;
    status.state = json.at("state").get<std::string>();
    status.command = json.at("command").get<std::string>();
    status.exit_code = json.at("exit_code").get<std::int64_t>();
    status.kind = json.at("kind").get<std::string>();
    status.error = json.at("error").get<std::string>();
    status.rank = json.at("rank").get<std::int64_t>();
    status.host = json.at("host").get<std::string>();
    status.pid = json.at("pid").get<std::int64_t>();
    status.started = json.at("started").get<std::string>();
    status.updated = json.at("updated").get<std::string>();
    return status;
  } catch (const base::Json::exception& error) {
    throw base::Error(base::ErrorKind::kModel, "a status file cannot be used",
                      {.where = path.string(),
                       .expected = "a status as this program writes it",
                       .found = error.what(),
                       .fix = "delete the file; the next command writes it anew"});
  }
}

// link() makes the whole text appear under the name at once, and only for the first caller. File
// systems without hard links get an exclusive create instead.
bool claim(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path temporary =
      fmt::format("{}.{}.{}", path.string(), device::host_name(), ::getpid());
  base::write_file_atomically(temporary, text);
  const bool linked = ::link(temporary.c_str(), path.c_str()) == 0;
  const int error = errno;
  ::unlink(temporary.c_str());
  if (linked || error == EEXIST) {
    return linked;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    return false;
  }
  ::close(fd);
  base::write_file_atomically(path, text);
  return true;
}

}  // namespace

RunStatus status_here(const std::string& command, std::int64_t world_rank) {
  RunStatus status;
  status.command = command;
  status.rank = world_rank;
  status.host = device::host_name();
  status.pid = ::getpid();
  status.started = device::utc_time();
  status.updated = status.started;
  return status;
}

RunStatus failure_of(const RunStatus& running, const base::Error& error) {
  RunStatus status = running;
  status.state = error.kind() == base::ErrorKind::kStopped ? "stopped" : "failed";
  status.exit_code = base::exit_code(error.kind());
  status.kind = base::kind_name(error.kind());
  status.error = error.what();
  status.updated = device::utc_time();
  return status;
}

void begin_status(const std::filesystem::path& run, const RunStatus& status) {
  std::error_code ignored;
  std::filesystem::remove(failure_path(run), ignored);
  base::write_file_atomically(status_path(run), to_text(status));
}

bool write_status(const std::filesystem::path& run, RunStatus status) {
  std::error_code ignored;
  if (std::filesystem::exists(failure_path(run), ignored)) {
    return false;
  }
  status.updated = device::utc_time();
  base::write_file_atomically(status_path(run), to_text(status));
  return true;
}

bool write_failure_once(const std::filesystem::path& run, const RunStatus& failure) noexcept {
  try {
    const std::string text = to_text(failure);
    if (!claim(failure_path(run), text)) {
      return false;
    }
    base::write_file_atomically(status_path(run), text);
    return true;
  } catch (...) {
    return false;  // the failure itself is on stderr; a full disk must not hide it behind another
                   // one
  }
}

std::optional<RunStatus> read_status(const std::filesystem::path& run) {
  for (const std::filesystem::path& path : {failure_path(run), status_path(run)}) {
    std::error_code ignored;
    // Zero bytes: another rank is just claiming the failure.
    if (std::filesystem::exists(path, ignored) && std::filesystem::file_size(path, ignored) > 0) {
      return from_file(path);
    }
  }
  return std::nullopt;
}

}  // namespace baton::run
