#pragma once
// Counts the collectives of one group so that another thread can read how far it is.

#include <atomic>
#include <chrono>
#include <cstdint>

#include "baton/comm/communicator.hpp"

namespace baton::comm {

class ActivityCounter {
 public:
  /// Inside one collective, from here to the end of the scope. Scopes of one group do not overlap.
  class Scope {
   public:
    explicit Scope(ActivityCounter& counter) : counter_(counter) {
      counter_.is_inside_.store(true, std::memory_order_relaxed);
      counter_.num_entered_.fetch_add(1, std::memory_order_release);
    }
    ~Scope() {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
      // The group's own thread is the only writer.
      counter_.seconds_inside_.store(
          counter_.seconds_inside_.load(std::memory_order_relaxed) + passed.count(),
          std::memory_order_relaxed);
      counter_.is_inside_.store(false, std::memory_order_release);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ActivityCounter& counter_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  };

  CommunicatorActivity read() const {
    const std::int64_t num_entered = num_entered_.load(std::memory_order_acquire);
    return {num_entered, is_inside_.load(std::memory_order_acquire),
            seconds_inside_.load(std::memory_order_relaxed)};
  }

 private:
  std::atomic<std::int64_t> num_entered_ = 0;
  std::atomic<bool> is_inside_ = false;
  std::atomic<double> seconds_inside_ = 0;
};

}  // namespace baton::comm
