#pragma once
// Notes in status.json that a stop was asked for the moment it is: mpirun kills its ranks two seconds after it passed
// a signal on, and an update or a batch may take longer than that. World rank 0 has one.

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "baton/checkpoint/run_status.hpp"

namespace baton::app {

class StopWatcher {
 public:
  StopWatcher(std::filesystem::path run, std::string command);
  ~StopWatcher();
  StopWatcher(const StopWatcher&) = delete;
  StopWatcher& operator=(const StopWatcher&) = delete;

  /// Writes the state of a run that goes on: "running", or "stopped" once that was asked for.
  void write_progress();

 private:
  void watch();
  checkpoint::RunStatus stopped_status() const;

  std::filesystem::path run_;
  std::string command_;
  std::mutex writing_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace baton::app
