#pragma once
// One command at work in a run folder: its lock, status.json from start to end, what happens on a
// stop signal, and the one place that notes a failure. The train and eval commands have one each;
// all ranks make it.

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "baton/base/error.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/run/run_lock.hpp"
#include "baton/run/run_status.hpp"
#include "baton/work/stop_watcher.hpp"

namespace baton::work {

class RunSession {
 public:
  RunSession(comm::ProcessWorld& world, std::string command);

  /// On rank 0, in a phase that all ranks enter together: `lock` is the folder's. Elsewhere only
  /// the folder is noted.
  void begin(const std::filesystem::path& run, std::optional<run::RunLock> lock);

  /// Runs the command's work; a failure is noted in the folder, then thrown on. The rank that
  /// failed first has its error in status.json and on the screen; what others say after it is an
  /// echo.
  int guard(const std::function<int()>& work);

  /// Rank 0: status.json says that the run goes on, or that it is stopping once that was asked for.
  void write_progress();
  /// Collective: throws kStopped on every rank when any of them was asked to stop. For the phases
  /// before and between the work that notices by itself.
  void stop_point();
  /// Rank 0: the last word.
  void end(const std::string& state, int exit_code, const std::string& error = "");

  StopWatcher& stop_watcher() { return stop_watcher_; }

 private:
  void note_failure(const base::Error& error, bool agreed) noexcept;
  run::RunStatus status_now() const;

  comm::ProcessWorld& world_;
  std::string command_;
  std::filesystem::path run_;
  std::string started_;
  std::optional<run::RunLock> lock_;  // rank 0
  std::mutex writing_;
  bool begun_ = false;
  bool ended_ = false;
  StopWatcher stop_watcher_;
  std::unique_ptr<StopWatcher::Registration> says_stopping_;  // rank 0
};

}  // namespace baton::work
