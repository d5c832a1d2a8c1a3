#include "baton/coordinator/worker.hpp"

#include <fmt/format.h>

#include <utility>

namespace baton::coordinator {
namespace {

[[noreturn]] void does_not_fit(const std::string& message, const std::string& state) {
  throw base::Error(base::ErrorKind::kCommunication,
                    "a message of the coordinator does not fit what this group does",
                    {.where = "this group's worker",
                     .expected = "a message for a group that " + state,
                     .found = message,
                     .fix = "start all ranks with the same build of the program; if they are, this "
                            "is a bug of the program: please report it with this message"});
}

}  // namespace

Worker::Worker(int num_ranks) : num_ranks_(num_ranks) {
  BATON_ASSERT(num_ranks > 0, fmt::format("a group of {} ranks", num_ranks));
}

std::string Worker::state_text() const {
  if (left_) {
    return "has left";
  }
  if (!started_) {
    return "has not said that it is ready";
  }
  if (works()) {
    return fmt::format("works on item {}", item_);
  }
  return has_stopped_ ? "has stopped" : "waits for work";
}

ToCoordinator Worker::start() {
  BATON_ASSERT(!started_, std::string("a worker started twice"));
  started_ = true;
  return Ready{num_ranks_};
}

Worker::Order Worker::on_message(const ToWorker& message) {
  if (!started_ || left_) {
    does_not_fit("any message", state_text());
  }
  if (const auto* assign = std::get_if<Assign>(&message)) {
    if (works() || assign->item < 0 || assign->attempt < 1) {
      does_not_fit(fmt::format("Assign of item {}, attempt {}", assign->item, assign->attempt),
                   state_text());
    }
    if (has_stopped_) {
      return Order::kNone;  // sent before the coordinator heard that this group stopped
    }
    item_ = assign->item;
    attempt_ = assign->attempt;
    return Order::kRun;
  }
  if (std::holds_alternative<Stop>(message)) {
    // Without an item: the message crossed the ending of the item it was for; Leave follows.
    const bool is_news = works() && !stop_ordered_;
    stop_ordered_ = true;
    return is_news ? Order::kStop : Order::kNone;
  }
  if (works()) {
    does_not_fit("Leave", state_text());
  }
  left_ = true;
  return Order::kLeave;
}

ToCoordinator Worker::progress(std::int64_t step,
                               std::int64_t num_steps,
                               double loss,
                               double tokens_per_second,
                               std::optional<double> validation_loss) const {
  BATON_ASSERT(works(), "progress of a group that " + state_text());
  return Progress{item_, step, num_steps, loss, tokens_per_second, validation_loss};
}

int Worker::end_item() {
  attempt_ = 0;
  return std::exchange(item_, -1);
}

ToCoordinator Worker::finished(std::string payload) {
  BATON_ASSERT(works(), "finished, by a group that " + state_text());
  return Finished{end_item(), std::move(payload)};
}

ToCoordinator Worker::failed(base::ErrorKind kind, std::string text) {
  BATON_ASSERT(works(), "failed, by a group that " + state_text());
  return Failed{end_item(), kind, std::move(text)};
}

ToCoordinator Worker::stopped() {
  BATON_ASSERT(started_ && !left_ && !has_stopped_, "stopped, by a group that " + state_text());
  has_stopped_ = true;
  return Stopped{end_item()};
}

}  // namespace baton::coordinator
