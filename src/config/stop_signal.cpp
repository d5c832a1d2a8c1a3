#include "baton/config/stop_signal.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace baton::config {
namespace {

// A handler can reach nothing but statics; lock-free atomics are safe there.
std::atomic<int> first_signal{0};
std::atomic<long> first_second{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<long>::is_always_lock_free);

long seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<long>(now.tv_sec);
}

extern "C" void on_stop_signal(int signal_number) {
  const int saved_errno = errno;
  int expected = 0;
  const long now = seconds_now();
  if (first_signal.compare_exchange_strong(expected, signal_number)) {
    first_second.store(now);
  } else if (signal_number != SIGUSR1 && now - first_second.load() > 1) {
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
}

bool stop_requested() noexcept {
  return first_signal.load() != 0;
}

int stop_signal() noexcept {
  return first_signal.load();
}

}  // namespace baton::config
