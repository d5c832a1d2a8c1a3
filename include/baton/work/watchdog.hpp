#pragma once
// A thread beside the main thread of every rank. Each tells world rank 0 where its rank stands;
// rank 0 judges who is stuck and lets the others know that it lives. A verdict is written down,
// said on stderr, and ends the world with exit code 8 (kHang).

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "baton/comm/process_world.hpp"
#include "baton/work/heartbeat.hpp"

namespace baton::work {

struct WatchdogOptions {
  double timeout_seconds = 600;  // 0: off
  std::filesystem::path run;     // where the failure is written
  std::string command;           // "train", "eval", ...
  /// The limit while a rank is at its first step: this many times timeout_seconds, and no less than
  /// first_step_seconds.
  double first_step_factor = 10;
  double first_step_seconds = 60;
};

/// A thread that ends the process at a deadline, whatever the other threads hold or wait for.
class LastResort {
 public:
  LastResort();
  ~LastResort();  // before the deadline: nothing happens
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;

  /// Counts from now; a later call counts anew.
  void arm(double seconds, int exit_code);

 private:
  void run();

  int exit_code_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  bool is_over_ = false;
  std::thread thread_;
};

/// Named within timeout_seconds + 5 s: a rank that is stopped, loops without end, or is not in the
/// collective where its group waits. Every rank makes one, with the same options; world and
/// heartbeat outlive it.
class Watchdog {
 public:
  Watchdog(comm::ProcessWorld& world, Heartbeat& heartbeat, WatchdogOptions options);
  /// Leaves at once, as an error path must; the others are told not to wait for this rank.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// The orderly end, on every rank, before the world's: rank 0 keeps watching until every rank has
  /// come here, so that one that does not come is named as well.
  void close();

 private:
  class Loop;

  std::unique_ptr<Loop> loop_;
};

}  // namespace baton::work
