#include "baton/work/stop_signal.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace baton::work {
namespace {

// A handler can reach nothing but statics; lock-free atomics are safe there.
std::atomic<int> first_signal{0};
std::atomic<std::int64_t> first_nanoseconds{0};
std::atomic<bool> asked{false};
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

extern "C" void on_stop_signal(int signal_number) {
  const int saved_errno = errno;
  int expected = 0;
  const std::int64_t now = nanoseconds_now();
  if (first_signal.compare_exchange_strong(expected, signal_number)) {
    first_nanoseconds.store(now);
    asked.store(true);
  } else if (signal_number != SIGUSR1 && now - first_nanoseconds.load() > 1'000'000'000) {
    _exit(128 + signal_number);
  }
  errno = saved_errno;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaddset(&action.sa_mask, signal_number);
  }
  for (const int signal_number : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaction(signal_number, &action, nullptr);
  }
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is a failed write that is reported, not a death
}

void request_stop() noexcept {
  if (!asked.load()) {
    std::int64_t none = 0;
    first_nanoseconds.compare_exchange_strong(none, nanoseconds_now());
    asked.store(true);
  }
}

bool stop_requested() noexcept {
  return asked.load();
}

int stop_signal() noexcept {
  return first_signal.load();
}

double seconds_since_stop() noexcept {
  return stop_requested() ? static_cast<double>(nanoseconds_now() - first_nanoseconds.load()) * 1e-9
                          : 0;
}

}  // namespace baton::work
