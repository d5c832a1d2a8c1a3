#include "baton/base/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "baton/base/narrow.hpp"
#include "baton/base/text.hpp"

namespace baton::base {

namespace {

struct LogState {
  std::shared_ptr<spdlog::logger> logger;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int world_rank = -1;
  int world_size = 0;

  LogState() {
    logger = std::make_shared<spdlog::logger>("baton",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::info);
    logger->flush_on(spdlog::level::debug);
  }
};

// The one global of the project: who is speaking.
LogState& state() {
  static LogState instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* level_word(LogLevel level) {
  switch (level) {
    case LogLevel::kWarning:
      return "warning: ";
    case LogLevel::kError:
      return "error: ";
    default:
      return "";
  }
}

/// What a terminal is shown: lines that fit it, warnings and errors in colour (unless NO_COLOR is
/// set). A file or a pipe gets the line as it is.
std::string on_terminal(LogLevel level, const std::string& line) {
  static const bool kIsTerminal = ::isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (!kIsTerminal || ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 40) {
    return line;
  }
  std::string text;
  std::size_t begin = 0;
  while (begin <= line.size()) {  // lines of its own stay lines
    const std::size_t end = std::min(line.find('\n', begin), line.size());
    for (const std::string& part :
         wrap_text(std::string_view(line).substr(begin, end - begin), size.ws_col - 5U)) {
      text += (text.empty() ? "" : "\n    ") + part;
    }
    begin = end + 1;
  }
  const char* no_colour = std::getenv("NO_COLOR");
  const bool is_plain = level == LogLevel::kDebug || level == LogLevel::kInfo ||
                        (no_colour != nullptr && *no_colour != '\0');
  const char* colour = level == LogLevel::kError ? "\x1b[31m" : "\x1b[33m";
  return is_plain ? text : colour + text + "\x1b[0m";
}

}  // namespace

void set_log_identity(int world_rank, int world_size) {
  state().world_rank = world_rank;
  state().world_size = world_size;
}

void set_log_level(LogLevel level) {
  state().logger->set_level(to_spdlog(level));
}

LogLevelScope::LogLevelScope(LogLevel level) : level_before_(state().logger->level()) {
  set_log_level(level);
}

LogLevelScope::~LogLevelScope() {
  state().logger->set_level(static_cast<spdlog::level::level_enum>(level_before_));
}

void log(LogLevel level, std::string_view area, const std::string& text) {
  LogState& s = state();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - s.start).count();
  const std::string rank =
      s.world_rank < 0 ? std::string() : fmt::format(" {}/{}", s.world_rank, s.world_size);
  const std::string line =
      fmt::format("[{:.1f}s{} {}] {}{}", seconds, rank, area, level_word(level),
                                       printable(text));
  s.logger->log(to_spdlog(level), "{}", on_terminal(level, line));
}

}  // namespace baton::base
