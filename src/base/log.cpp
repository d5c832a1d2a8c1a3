#include "baton/base/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

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
  s.logger->log(to_spdlog(level), "[{:.1f}s{} {}] {}{}", seconds, rank, area, level_word(level),
                printable(text));
}

}  // namespace baton::base
