#pragma once
// A hang is a failure with a name: ends the process when a test takes longer than its limit. Under
// mpirun the end of one rank ends them all.

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace baton::testing {

class Watchdog {
 public:
  static constexpr int kExitCode = 86;

  Watchdog(std::string test_name, int world_rank, std::chrono::seconds limit)
      : thread_([this, name = std::move(test_name), world_rank, limit] {
          std::unique_lock lock(mutex_);
          if (!wake_.wait_for(lock, limit, [this] { return is_over_; })) {
            std::fprintf(stderr, "[watchdog] %s on rank %d took longer than %lld s\n", name.c_str(),
                         world_rank, static_cast<long long>(limit.count()));
            std::fflush(nullptr);
            _exit(kExitCode);
          }
        }) {}

  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace baton::testing
