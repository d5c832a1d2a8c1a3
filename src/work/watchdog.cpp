#include "baton/work/watchdog.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <numeric>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/run/run_status.hpp"
#include "baton/work/hang_judge.hpp"

namespace baton::work {
namespace {

using comm::Mailbox;

constexpr double kLongestPeriod = 1;       // seconds between reports
constexpr double kReportsPerTimeout = 8;   // at least
constexpr double kSlackForRankZero = 2;    // seconds by which others are more patient with it
constexpr double kSecondsToWriteDown = 3;  // a file system may hang too
constexpr double kSecondsForMpiToEnd = 3;
constexpr double kSecondsForTheFirst = 1;  // to be read before the world ends

std::chrono::duration<double> in_seconds(double seconds) {
  return std::chrono::duration<double>(seconds);
}

std::vector<int> ranks_watched_by(int rank, int world_size) {
  if (rank != 0) {
    return {0};
  }
  std::vector<int> all(static_cast<std::size_t>(world_size));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

HangLimits limits_of(const WatchdogOptions& options, int rank) {
  HangLimits limits;
  limits.timeout_seconds = options.timeout_seconds + (rank == 0 ? 0 : kSlackForRankZero);
  limits.first_step_seconds =
      std::max(options.first_step_factor * options.timeout_seconds, options.first_step_seconds);
  limits.silence_only = rank != 0;
  return limits;
}

}  // namespace

LastResort::LastResort() : thread_([this] { run(); }) {}

LastResort::~LastResort() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LastResort::arm(double seconds, int exit_code) {
  {
    const std::lock_guard lock(mutex_);
    exit_code_ = exit_code;
    deadline_ =
        std::chrono::steady_clock::now() +
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(in_seconds(seconds));
  }
  changed_.notify_all();
}

void LastResort::run() {
  std::unique_lock lock(mutex_);
  while (!is_over_) {
    if (!deadline_) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() >= *deadline_) {
      _exit(exit_code_);
    } else {
      const auto deadline = *deadline_;
      changed_.wait_until(lock, deadline);
    }
  }
}

/// What the thread does.
class Watchdog::Loop {
 public:
  Loop(comm::ProcessWorld& world, Heartbeat& heartbeat, WatchdogOptions options)
      : world_(world),
        heartbeat_(heartbeat),
        options_(std::move(options)),
        period_(std::min(kLongestPeriod, options_.timeout_seconds / kReportsPerTimeout)),
        gaps_(period_, steady_seconds()),
        judge_(ranks_watched_by(world.rank(), world.size()),
               limits_of(options_, world.rank()),
               steady_seconds()),
        thread_([this] { run(); }) {}

  ~Loop() {
    if (thread_.joinable()) {
      end(End::kNow);
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  enum class End { kNotYet, kWhenAllLeft, kNow };
  void end(End how) {
    {
      const std::lock_guard lock(mutex_);
      end_ = how;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void run() noexcept;
  bool look();
  void listen(double now);
  void tell(bool farewell);
  Position position_here(bool farewell) const;
  void end_world(const base::Error& error, const Position& culprit) noexcept;

  comm::ProcessWorld& world_;
  Heartbeat& heartbeat_;
  WatchdogOptions options_;
  double period_;
  double next_report_ = 0;
  GapFinder gaps_;
  HangJudge judge_;
  LastResort last_resort_;

  std::mutex mutex_;
  std::condition_variable changed_;
  End end_ = End::kNotYet;
  std::thread thread_;  // last: it uses the others
};

void Watchdog::Loop::run() noexcept {
  try {
    while (look()) {
      std::unique_lock lock(mutex_);
      if (end_ == End::kNotYet) {
        changed_.wait_for(lock, in_seconds(period_));
      } else {  // the others are on their way: look often
        lock.unlock();
        std::this_thread::sleep_for(in_seconds(std::min(period_, 0.01)));
      }
    }
  } catch (const base::Error& error) {
    end_world(error, position_here(false));
  } catch (const std::exception& error) {
    end_world(base::Error(base::ErrorKind::kInternal, error.what(), {.where = "the watchdog"}),
              position_here(false));
  }
}

/// One round; false when it was the last.
bool Watchdog::Loop::look() {
  const double now = steady_seconds();
  if (const double lost = gaps_.lost_since_last(now); lost > 0) {
    heartbeat_.forgive(lost);
    judge_.forgive(lost);
  }
  listen(now);
  End end = End::kNotYet;
  {
    const std::lock_guard lock(mutex_);
    end = end_;
  }
  if (world_.rank() == 0) {
    judge_.on_report(position_here(end != End::kNotYet), now);
  }
  const bool is_last =
      end == End::kNow || (end == End::kWhenAllLeft && (world_.rank() != 0 || judge_.all_left()));
  if (is_last || now >= next_report_) {
    tell(is_last);
    next_report_ = now + period_ / 2;  // earlier than the next round, which may come early
  }
  if (is_last) {
    return false;
  }
  if (const auto verdict = judge_.judge(now)) {
    const base::Error error(
        base::ErrorKind::kHang, "no progress within the time limit",
        {.where = verdict->text,
         .expected =
             fmt::format("progress on every rank at least every {} s", options_.timeout_seconds),
         .found = fmt::format("seen by rank {} on {}", world_.rank(), world_.host()),
         .fix = "look at that rank's machine and its last lines; start again, saved work is kept; "
                "cluster.timeout_seconds sets the limit"});
    end_world(error, judge_.position_of(verdict->culprits.front()));
  }
  return true;
}

void Watchdog::Loop::listen(double now) {
  while (const auto message = world_.poll_control(Mailbox::kWatch)) {
    judge_.on_report(position_from(message->bytes), now);
  }
}

Position Watchdog::Loop::position_here(bool farewell) const {
  Position position = heartbeat_.position();
  position.world_rank = world_.rank();
  position.host = world_.host();
  position.pid = getpid();
  position.has_left = farewell;
  return position;
}

void Watchdog::Loop::tell(bool farewell) {
  const Position position = position_here(farewell);
  if (world_.rank() != 0) {
    world_.send_control(0, Mailbox::kWatch, to_bytes(position));
    return;
  }
  const std::string bytes = to_bytes(position);
  for (const int rank : judge_.present_ranks()) {
    if (rank == 0) {
      continue;
    }
    world_.send_control(rank, Mailbox::kWatch, bytes);
  }
}

/// Nothing here may wait without an end: the failure may be a file system or a terminal.
void Watchdog::Loop::end_world(const base::Error& error, const Position& culprit) noexcept {
  const int code = base::exit_code(error.kind());
  last_resort_.arm(kSecondsToWriteDown, code);
  try {
    run::RunStatus failure =
        run::failure_of(run::status_here(options_.command, world_.rank()), error);
    failure.rank = culprit.world_rank;
    failure.host = culprit.host;
    failure.pid = culprit.pid;
    const bool is_first = run::write_failure_once(options_.run, failure);
    last_resort_.arm(kSecondsForTheFirst + kSecondsForMpiToEnd, code);
    if (!is_first) {  // who was says it and ends the world; an abort from here would cut its words
      std::this_thread::sleep_for(in_seconds(kSecondsForTheFirst));
    }
    const auto noted = is_first ? std::nullopt : run::read_status(options_.run);
    if (is_first || !noted || noted->state != failure.state) {
      base::log(base::LogLevel::kError, "watch", error.what());
    }
  } catch (...) {  // the end of the world says enough
  }
  world_.abort(code);
}

Watchdog::Watchdog(comm::ProcessWorld& world, Heartbeat& heartbeat, WatchdogOptions options) {
  if (options.timeout_seconds > 0) {
    loop_ = std::make_unique<Loop>(world, heartbeat, std::move(options));
  }
}

Watchdog::~Watchdog() = default;

void Watchdog::close() {
  if (loop_) {
    loop_->end(Loop::End::kWhenAllLeft);
    loop_.reset();
  }
}

}  // namespace baton::work
