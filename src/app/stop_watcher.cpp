#include "stop_watcher.hpp"

#include <chrono>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/config/stop_signal.hpp"

namespace baton::app {

StopWatcher::StopWatcher(std::filesystem::path run, std::string command)
    : run_(std::move(run)), command_(std::move(command)), thread_([this] { watch(); }) {}

StopWatcher::~StopWatcher() {
  done_ = true;
  thread_.join();
}

void StopWatcher::write_progress() {
  const std::lock_guard<std::mutex> lock(writing_);
  checkpoint::write_status(run_, config::stop_requested() ? stopped_status() : checkpoint::status_here(command_, 0));
}

checkpoint::RunStatus StopWatcher::stopped_status() const {
  checkpoint::RunStatus status = checkpoint::status_here(command_, 0);
  status.state = "stopped";
  status.exit_code = base::exit_code(base::ErrorKind::kStopped);
  status.kind = base::kind_name(base::ErrorKind::kStopped);
  status.error = "asked to stop; what is finished is kept, run the same command again to go on";
  return status;
}

void StopWatcher::watch() {
  while (!done_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!config::stop_requested()) {
      continue;
    }
    try {
      write_progress();
      base::log_warning("main", "asked to stop: leaving after the work in hand");
    } catch (const base::Error& error) {
      base::log(base::LogLevel::kError, "main", error.what());
    }
    return;
  }
}

}  // namespace baton::app
