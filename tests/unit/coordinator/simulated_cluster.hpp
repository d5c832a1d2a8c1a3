#pragma once
// A cluster in virtual time: the real coordinator and one real worker a group, joined by queues of
// bytes. Nothing sleeps; an event queue says what happens next. For tests and for measuring the
// coordinator.

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/coordinator/coordinator.hpp"
#include "baton/coordinator/worker.hpp"

namespace baton::coordinator {

struct SimulationOptions {
  std::uint64_t seed = 1;
  double max_delay = 0;        // of a message, uniform from 0; order on a link is kept
  double max_start = 0;        // groups say Ready at a uniform time from 0
  double failure_rate = 0;     // of a try, at its end
  double retryable_share = 1;  // of the failures
  double progress_interval =
      0;  // virtual seconds between Progress messages of a busy worker; 0: none
  double seconds_to_stop = 0;                   // from Stop to Stopped
  std::optional<double> stop_at;                // the coordinator's own signal
  std::vector<std::pair<double, int>> signals;  // (time, group): a group sees a signal of its own
  int max_attempts = 3;
};

struct SimulationResult {
  double makespan = 0;  // when the last item was done
  double end = 0;       // when the last group left
  bool everyone_left = false;
  std::vector<int> num_done;      // times that the program was told an item is done, an item
  std::vector<int> num_attempts;  // an item
  std::vector<ItemState> states;
  std::vector<double> started_at;  // of the last try; -1: never
  std::vector<double> done_at;     // -1: never
  std::vector<std::vector<int>> items_of_group;
  std::int64_t num_messages = 0;  // both ways
  std::vector<std::string> broken_promises;
};

/// Runs once, to the end of all events. `time_of` says how long an item takes a group.
class SimulatedCluster {
 public:
  using TimeOf = std::function<double(int item, int group)>;
  /// Called in place of the coordinator's part of a message, with the part to do; for measuring it.
  using Around = std::function<void(const std::function<void()>&)>;

  SimulatedCluster(const std::vector<WorkItem>& items,
                   const std::vector<int>& group_sizes,
                   SimulationOptions options,
                   TimeOf time_of)
      : items_(items),
        options_(std::move(options)),
        time_of_(std::move(time_of)),
        random_(options_.seed),
        coordinator_(items, group_sizes, {options_.max_attempts}) {
    for (const int size : group_sizes) {
      workers_.emplace_back(size);
    }
    link_time_.assign(2 * workers_.size(), 0);
    epoch_.assign(workers_.size(), 0);
    started_.assign(workers_.size(), false);
    has_left_.assign(workers_.size(), false);
    holder_.assign(items.size(), -1);
    result_.num_done.assign(items.size(), 0);
    result_.num_attempts.assign(items.size(), 0);
    result_.started_at.assign(items.size(), -1);
    result_.done_at.assign(items.size(), -1);
    result_.items_of_group.resize(workers_.size());
  }

  void set_around(Around around) { around_ = std::move(around); }

  SimulationResult run() {
    for (std::size_t g = 0; g < workers_.size(); ++g) {
      add(options_.max_start * random_.uniform(), Kind::kStart, static_cast<int>(g));
    }
    if (options_.stop_at) {
      add(*options_.stop_at, Kind::kStopAll, 0);
    }
    for (const auto& [time, group] : options_.signals) {
      add(time, Kind::kSignal, group);
    }
    while (!events_.empty()) {
      const Happening event = events_.top();
      events_.pop();
      now_ = event.time;
      handle(event);
    }
    result_.everyone_left = coordinator_.finished();
    for (std::size_t g = 0; g < workers_.size(); ++g) {
      expect(has_left_[g], fmt::format("group {} was never told to leave", g));
    }
    for (std::size_t i = 0; i < items_.size(); ++i) {
      result_.states.push_back(coordinator_.state_of(static_cast<int>(i)));
    }
    return std::move(result_);
  }

 private:
  enum class Kind {
    kStart,
    kToCoordinator,
    kToWorker,
    kWorkEnds,
    kStopEnds,
    kProgress,
    kStopAll,
    kSignal
  };
  struct Happening {
    double time = 0;
    std::int64_t number = 0;  // first in, first out at one time
    Kind kind = Kind::kStart;
    int group = 0;
    std::int64_t epoch = 0;  // of the group's work: an event of work that ended otherwise is void
    std::string bytes;

    bool operator>(const Happening& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };

  static std::size_t at(int index) { return static_cast<std::size_t>(index); }

  void expect(bool condition, const std::string& promise) {
    if (!condition) {
      result_.broken_promises.push_back(fmt::format("at {}: {}", now_, promise));
    }
  }

  void add(double time, Kind kind, int group, std::int64_t epoch = 0, std::string bytes = {}) {
    events_.push({time, num_events_++, kind, group, epoch, std::move(bytes)});
  }

  void post(Kind kind, int group, std::string bytes) {
    double& link = link_time_[2 * at(group) + (kind == Kind::kToWorker ? 1 : 0)];
    link = std::max(link, now_ + options_.max_delay * random_.uniform());
    ++result_.num_messages;
    add(link, kind, group, 0, std::move(bytes));
  }

  void tell_coordinator(int group, const ToCoordinator& message) {
    post(Kind::kToCoordinator, group, to_bytes(message));
  }

  void handle(const Happening& event) {
    const std::size_t g = at(event.group);
    Worker& worker = workers_[g];
    switch (event.kind) {
      case Kind::kStart:
        started_[g] = true;
        tell_coordinator(event.group, worker.start());
        break;
      case Kind::kToCoordinator:
        coordinate(
            [&] { return coordinator_.on_message(event.group, to_coordinator_from(event.bytes)); });
        break;
      case Kind::kStopAll:
        coordinate([&] { return coordinator_.on_stop(); });
        break;
      case Kind::kToWorker:
        obey(event.group, worker.on_message(to_worker_from(event.bytes)));
        break;
      case Kind::kWorkEnds:
        if (event.epoch == epoch_[g]) {
          end_work(event.group);
        }
        break;
      case Kind::kStopEnds:
        if (event.epoch == epoch_[g]) {
          stop_work(event.group);
        }
        break;
      case Kind::kProgress:
        if (event.epoch == epoch_[g]) {
          tell_coordinator(event.group, worker.progress(1, 2, 0.5, 1000));
          add(now_ + options_.progress_interval, Kind::kProgress, event.group, event.epoch);
        }
        break;
      case Kind::kSignal:
        if (started_[g] && !has_left_[g] && !worker.has_stopped()) {
          stop_work(event.group);
        }
        break;
    }
  }

  template <typename Step>
  void coordinate(Step step) {
    Actions actions;
    std::vector<std::string> bytes;
    const auto work = [&] {
      actions = step();
      for (const Outgoing& out : actions.messages) {
        bytes.push_back(to_bytes(out.message));
      }
    };
    if (around_) {
      around_(work);
    } else {
      work();
    }
    for (std::size_t m = 0; m < bytes.size(); ++m) {
      post(Kind::kToWorker, actions.messages[m].group, std::move(bytes[m]));
    }
    for (const Event& event : actions.events) {
      std::visit([&](const auto& known) { note(known); }, event);
    }
  }

  void note(const ItemStarted& event) {
    const std::size_t i = at(event.item);
    expect(holder_[i] < 0, fmt::format("item {} is given out twice", event.item));
    expect(result_.num_done[i] == 0, fmt::format("item {} is done again", event.item));
    for (const int needed : items_[i].after) {
      expect(result_.num_done[at(needed)] == 1,
             fmt::format("item {} starts before {}", event.item, needed));
    }
    expect(event.attempt <= options_.max_attempts, "too many attempts");
    holder_[i] = event.group;
  }
  void note(const ItemProgress& event) {
    expect(holder_[at(event.progress.item)] == event.group, "progress of another group's item");
  }
  void note(const ItemFinished& event) {
    const std::size_t i = at(event.item);
    expect(holder_[i] == event.group, fmt::format("item {} is done by another group", event.item));
    holder_[i] = -1;
    ++result_.num_done[i];
  }
  void note(const ItemFailed& event) { holder_[at(event.item)] = -1; }
  void note(const ItemGivenUp& event) {
    expect(result_.started_at[at(event.item)] < 0, "given up after its start");
  }
  void note(const GroupLeft& /*event*/) { result_.end = now_; }

  void obey(int group, Worker::Order order) {
    const std::size_t g = at(group);
    switch (order) {
      case Worker::Order::kNone:
        break;
      case Worker::Order::kRun:
        begin_work(group);
        break;
      case Worker::Order::kStop:
        add(now_ + options_.seconds_to_stop * random_.uniform(), Kind::kStopEnds, group, epoch_[g]);
        break;
      case Worker::Order::kLeave:
        has_left_[g] = true;
        break;
    }
  }

  void begin_work(int group) {
    const std::size_t g = at(group);
    const std::size_t i = at(workers_[g].item());
    ++result_.num_attempts[i];
    expect(workers_[g].attempt() == result_.num_attempts[i],
           fmt::format("attempt {} of item {} is called {}", result_.num_attempts[i], i,
                       workers_[g].attempt()));
    result_.started_at[i] = now_;
    add(now_ + time_of_(workers_[g].item(), group), Kind::kWorkEnds, group, ++epoch_[g]);
    if (options_.progress_interval > 0) {
      // Not all at once: workers began at different moments.
      add(now_ + options_.progress_interval * random_.uniform(), Kind::kProgress, group, epoch_[g]);
    }
  }

  void end_work(int group) {
    const std::size_t g = at(group);
    Worker& worker = workers_[g];
    ++epoch_[g];
    const int item = worker.item();
    if (random_.uniform() < options_.failure_rate) {
      const bool is_retryable = random_.uniform() < options_.retryable_share;
      tell_coordinator(
          group, worker.failed(is_retryable ? base::ErrorKind::kStorage : base::ErrorKind::kData,
                               "simulated"));
      return;
    }
    result_.done_at[at(item)] = now_;
    result_.makespan = std::max(result_.makespan, now_);
    result_.items_of_group[g].push_back(item);
    tell_coordinator(group, worker.finished("payload"));
  }

  void stop_work(int group) {
    ++epoch_[at(group)];
    tell_coordinator(group, workers_[at(group)].stopped());
  }

  std::vector<WorkItem> items_;
  SimulationOptions options_;
  TimeOf time_of_;
  Around around_;
  base::Random random_;
  Coordinator coordinator_;
  std::vector<Worker> workers_;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> events_;
  std::int64_t num_events_ = 0;
  double now_ = 0;
  std::vector<double> link_time_;
  std::vector<std::int64_t> epoch_;
  std::vector<bool> started_;
  std::vector<bool> has_left_;
  std::vector<int> holder_;
  SimulationResult result_;
};

}  // namespace baton::coordinator
