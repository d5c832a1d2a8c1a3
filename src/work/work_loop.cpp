#include "baton/work/work_loop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <thread>
#include <utility>

#include "baton/base/log.hpp"
#include "baton/comm/share.hpp"
#include "baton/work/agreed.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::work {

namespace {

using comm::Mailbox;
using coordinator::Worker;

constexpr auto kPollPeriod = std::chrono::milliseconds(2);
constexpr double kSecondsBetweenWords = 0.5;
// Not a message of the protocol: any rank may say that it was asked to stop, not only a leader.
const std::string kStopWish = "stop";

// ---- world rank 0

class CoordinatorThread {
 public:
  CoordinatorThread(comm::ProcessWorld& world, const WorkRequest& request, Heartbeat& heartbeat)
      : world_(world),
        request_(request),
        heartbeat_(heartbeat),
        machine_(request.items, sizes_of(request.groups)) {
    for (std::size_t group = 0; group < request.groups.size(); ++group) {
      group_of_leader_[request.groups[group].front()] = static_cast<int>(group);
    }
    thread_ = std::thread([this] { run(); });
  }

  // Also on the way out of an error: then the world is ending and nobody will answer.
  ~CoordinatorThread() {
    abandoned_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  CoordinatorThread(const CoordinatorThread&) = delete;
  CoordinatorThread& operator=(const CoordinatorThread&) = delete;

  /// Whether the thread gave up: nobody will be told to leave any more.
  bool is_lost() const { return is_lost_; }

  /// Waits for the end; the error of a lost thread, else of none.
  void wait() {
    thread_.join();
    if (is_lost_) {
      std::rethrow_exception(error_);
    }
  }

  /// After wait(). The error that ended the work in an orderly way, if there was one.
  WorkOutcome outcome() const {
    if (error_) {
      std::rethrow_exception(error_);
    }
    WorkOutcome outcome;
    outcome.stopped = machine_.stopping();
    outcome.missing = machine_.missing_items();
    for (const auto& [item, failure] : failures_) {
      outcome.failures.push_back(failure);
    }
    return outcome;
  }

 private:
  static std::vector<int> sizes_of(const std::vector<std::vector<int>>& groups) {
    std::vector<int> sizes;
    for (const std::vector<int>& group : groups) {
      sizes.push_back(static_cast<int>(group.size()));
    }
    return sizes;
  }

  void run() {
    Heartbeat::Helper watched(heartbeat_, "coordinate");
    while (!machine_.finished() && !abandoned_ && !is_lost_) {
      attempt([this] { turn(); });
      watched.note_progress();
      std::this_thread::sleep_for(kPollPeriod);
    }
  }

  // After one error all groups are told to leave, and the world ends in an orderly way. With a second
  // one that can no longer be relied on: groups may wait for an answer that never comes, in a section
  // that has no time limit. Then rank 0's main thread ends the world (GroupLoop, run_work).
  void attempt(const std::function<void()>& step) noexcept {
    try {
      step();
    } catch (...) {
      if (error_) {
        is_lost_ = true;
        request_stop();  // so that the main thread comes to wait for an order, and sees it
        return;
      }
      error_ = std::current_exception();
      attempt([this] { stop_all(); });
    }
  }

  void turn() {
    if (stop_requested() && !machine_.stopping()) {
      stop_all();
    }
    while (const auto message = world_.poll_control(Mailbox::kCoordinator)) {
      if (message->bytes == kStopWish) {
        request_stop();
        stop_all();
        continue;
      }
      const auto leader = group_of_leader_.find(message->from_rank);
      BATON_ASSERT(leader != group_of_leader_.end(),
                   fmt::format("a message of rank {}", message->from_rank));
      carry_out(
          machine_.on_message(leader->second, coordinator::to_coordinator_from(message->bytes)));
    }
  }

  void stop_all() { carry_out(machine_.on_stop()); }

  void carry_out(const coordinator::Actions& actions) {
    for (const coordinator::Outgoing& out : actions.messages) {
      const int leader = request_.groups[static_cast<std::size_t>(out.group)].front();
      world_.send_control(leader, Mailbox::kWorker, coordinator::to_bytes(out.message));
    }
    for (const coordinator::Event& event : actions.events) {
      note(event);
      if (!error_) {
        request_.on_event(event);
      }
    }
  }

  void note(const coordinator::Event& event) {
    if (const auto* failed = std::get_if<coordinator::ItemFailed>(&event)) {
      failures_[failed->item] = {failed->item, failed->kind, failed->text};
    } else if (const auto* finished = std::get_if<coordinator::ItemFinished>(&event)) {
      failures_.erase(finished->item);
    }
  }

  comm::ProcessWorld& world_;
  const WorkRequest& request_;
  Heartbeat& heartbeat_;
  coordinator::Coordinator machine_;
  std::map<int, int> group_of_leader_;
  std::map<int, ItemFailure> failures_;
  std::exception_ptr error_;           // the first one
  std::atomic<bool> is_lost_ = false;  // there was a second one
  std::atomic<bool> abandoned_ = false;
  std::thread thread_;
};

// ---- every group

class GroupLoop : public ItemContext {
 public:
  GroupLoop(comm::ProcessWorld& world,
            comm::Communicator& group,
            const WorkRequest& request,
            const CoordinatorThread* coordinator,
            Heartbeat& heartbeat)
      : world_(world),
        group_(group),
        request_(request),
        coordinator_(coordinator),
        heartbeat_(heartbeat),
        worker_(group.size()) {}

  void run() {
    if (leads()) {
      send(worker_.start());
    }
    while (const auto order = next_order()) {
      work_on(order->item, order->attempt);
    }
  }

  void tell(std::int64_t step,
            std::int64_t num_steps,
            double loss,
            double tokens_per_second,
            std::optional<double> validation_loss) override {
    if (!leads() || (step < num_steps && steady_seconds() - last_word_ < kSecondsBetweenWords)) {
      return;
    }
    last_word_ = steady_seconds();
    send(worker_.progress(step, num_steps, loss, tokens_per_second, validation_loss));
  }

  bool should_stop() override {
    heartbeat_.note_progress();
    if (leads() && !stop_requested()) {
      if (const auto message = world_.poll_control(Mailbox::kWorker)) {
        take(message->bytes);
      }
    }
    return stop_requested();
  }

 private:
  bool leads() const { return group_.rank() == 0; }

  void send(const coordinator::ToCoordinator& message) {
    world_.send_control(0, Mailbox::kCoordinator, coordinator::to_bytes(message));
  }

  Worker::Order take(const std::string& bytes) {
    const Worker::Order order = worker_.on_message(coordinator::to_worker_from(bytes));
    if (order == Worker::Order::kStop) {
      request_stop();
    }
    return order;
  }

  // What the coordinator wants next, on every rank of the group; nothing at the end.
  std::optional<coordinator::Assign> next_order() {
    const Heartbeat::Section waiting(heartbeat_, "wait for work", true);
    std::optional<coordinator::Assign> order;
    if (leads()) {
      order = wait_for_order();
    }
    return comm::value_of_leader(group_, order);
  }

  std::optional<coordinator::Assign> wait_for_order() {
    while (coordinator_ == nullptr || !coordinator_->is_lost()) {
      if (stop_requested() && !said_stopped_ && !worker_.told_to_stop()) {
        said_stopped_ = true;
        send(worker_.stopped());
      }
      if (const auto message = world_.poll_control(Mailbox::kWorker)) {
        const Worker::Order order = take(message->bytes);
        if (order == Worker::Order::kLeave) {
          return std::nullopt;
        }
        if (order == Worker::Order::kRun) {
          return coordinator::Assign{worker_.item(), worker_.attempt()};
        }
        continue;
      }
      std::this_thread::sleep_for(kPollPeriod);
    }
    return std::nullopt;  // run_work says why
  }

  void work_on(int item, int attempt) {
    try {
      const ItemResult result = request_.run_item(item, attempt, group_, *this);
      if (!leads()) {
        return;
      }
      if (result.stopped) {
        said_stopped_ = true;
        send(worker_.stopped());
      } else {
        send(worker_.finished(result.payload));
      }
    } catch (const comm::GroupError& error) {
      fail(error);
    } catch (const base::Error& error) {
      if (group_.size() > 1) {
        throw;
      }
      fail(error);
    }
  }

  void fail(const base::Error& error) {
    if (leads()) {
      send(worker_.failed(error.kind(), error.what()));
    }
  }

  comm::ProcessWorld& world_;
  comm::Communicator& group_;
  const WorkRequest& request_;
  const CoordinatorThread* coordinator_;  // on world rank 0
  Heartbeat& heartbeat_;
  Worker worker_;
  bool said_stopped_ = false;
  double last_word_ = -1e9;
};

}  // namespace

int group_index_of(const std::vector<std::vector<int>>& groups, int rank) {
  const auto found = std::find_if(groups.begin(), groups.end(), [rank](const auto& group) {
    return std::find(group.begin(), group.end(), rank) != group.end();
  });
  return found == groups.end() ? -1 : static_cast<int>(found - groups.begin());
}

WorkOutcome run_work(comm::ProcessWorld& world,
                     comm::Communicator* group,
                     int group_index,
                     const WorkRequest& request,
                     StopWatcher& stop_watcher,
                     Heartbeat& heartbeat) {
  std::optional<CoordinatorThread> coordinator;
  if (world.rank() == 0) {
    coordinator.emplace(world, request, heartbeat);
  }
  {
    const auto says_so =
        stop_watcher.on_stop([&world] { world.send_control(0, Mailbox::kCoordinator, kStopWish); });
    if (group != nullptr) {
      const Heartbeat::GroupScope watched(heartbeat, group_index, *group);
      GroupLoop(world, *group, request, coordinator ? &*coordinator : nullptr, heartbeat).run();
    }
  }
  const Heartbeat::Section waiting(heartbeat, "wait for the others", true);
  if (coordinator) {
    coordinator->wait();  // not together: where it is lost, other ranks may never come
  }
  return from_leader(world, [&] { return coordinator->outcome(); });
}

}  // namespace baton::work
