#pragma once
// The process's log: lines on stderr, "[12.3s 0/2 train] text" (seconds since start, world rank and
// size, area). The identity is set once by main; it is the only global of the project.

#include <string>
#include <string_view>

namespace baton::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Sets rank and size shown in every line. Before it is called the prefix has no rank.
void set_log_identity(int world_rank, int world_size);

/// Lines below this level are dropped. The default is kInfo.
void set_log_level(LogLevel level);

/// Another level until the end of the scope, for all threads of the process; then the one before.
class LogLevelScope {
 public:
  explicit LogLevelScope(LogLevel level);
  ~LogLevelScope();
  LogLevelScope(const LogLevelScope&) = delete;
  LogLevelScope& operator=(const LogLevelScope&) = delete;

 private:
  int level_before_;
};

/// `area` is one word ("train", "data", "comm", ...).
void log(LogLevel level, std::string_view area, const std::string& text);

inline void log_info(std::string_view area, const std::string& text) {
  log(LogLevel::kInfo, area, text);
}
inline void log_warning(std::string_view area, const std::string& text) {
  log(LogLevel::kWarning, area, text);
}
inline void log_debug(std::string_view area, const std::string& text) {
  log(LogLevel::kDebug, area, text);
}

}  // namespace baton::base
