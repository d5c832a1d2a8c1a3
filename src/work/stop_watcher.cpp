#include "baton/work/stop_watcher.hpp"

#include <chrono>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::work {

namespace {

constexpr auto kPeriod = std::chrono::milliseconds(10);

}  // namespace

StopWatcher::Registration::Registration(StopWatcher& watcher, std::function<void()> action)
    : watcher_(watcher) {
  const std::lock_guard lock(watcher_.mutex_);
  place_ = watcher_.actions_.insert(watcher_.actions_.end(), std::move(action));
}

StopWatcher::Registration::~Registration() {
  const std::lock_guard lock(watcher_.mutex_);
  watcher_.actions_.erase(place_);
}

StopWatcher::StopWatcher() : thread_([this] { watch(); }) {}

StopWatcher::~StopWatcher() {
  done_ = true;
  thread_.join();
}

std::unique_ptr<StopWatcher::Registration> StopWatcher::on_stop(std::function<void()> action) {
  return std::make_unique<Registration>(*this, std::move(action));
}

void StopWatcher::watch() {
  while (!done_ && !stop_requested()) {
    std::this_thread::sleep_for(kPeriod);
  }
  if (done_) {
    return;
  }
  const std::lock_guard lock(mutex_);
  for (const std::function<void()>& action : actions_) {
    try {
      action();
    } catch (...) {
      base::log(base::LogLevel::kError, "main", base::current_error().what());
    }
  }
}

}  // namespace baton::work
