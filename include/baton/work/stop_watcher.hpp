#pragma once
// Does what must be done the moment a stop is asked for: mpirun kills its ranks two seconds after
// it passed a signal on, and an update or a batch may take longer than that. Every rank has one.

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace baton::work {

class StopWatcher {
 public:
  StopWatcher();
  ~StopWatcher();
  StopWatcher(const StopWatcher&) = delete;
  StopWatcher& operator=(const StopWatcher&) = delete;

  /// While it lives its action is in force; its end waits for an action under way.
  class Registration {
   public:
    Registration(StopWatcher& watcher, std::function<void()> action);
    ~Registration();
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    StopWatcher& watcher_;
    std::list<std::function<void()>>::iterator place_;
  };

  /// `action` runs once in the watcher's thread when a stop is asked for; not at all when that was
  /// before. Errors of it are logged.
  std::unique_ptr<Registration> on_stop(std::function<void()> action);

 private:
  void watch();

  std::mutex mutex_;
  std::list<std::function<void()>> actions_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace baton::work
