#pragma once
// One group's side of the protocol: a state machine without I/O. It says what the group should do
// next and turns what became of it into messages. The group's leader has one.

#include <cstdint>
#include <optional>
#include <string>

#include "baton/coordinator/messages.hpp"

namespace baton::coordinator {

class Worker {
 public:
  explicit Worker(int num_ranks);

  enum class Order {
    kNone,   // nothing new
    kRun,    // work on item(), attempt()
    kStop,   // save and leave the item in hand, then call stopped()
    kLeave,  // the end
  };

  /// The first message.
  ToCoordinator start();
  /// A message of the coordinator. One that does not fit the state is a kCommunication error. kNone
  /// where it crossed one of ours: Stop after the item ended, Assign after stopped(); Leave follows
  /// in both cases.
  Order on_message(const ToWorker& message);

  ToCoordinator progress(std::int64_t step,
                         std::int64_t num_steps,
                         double loss,
                         double tokens_per_second,
                         std::optional<double> validation_loss = {}) const;
  // Each ends the item in hand.
  ToCoordinator finished(std::string payload);
  ToCoordinator failed(base::ErrorKind kind, std::string text);
  /// Also without an item in hand: this group saw a signal of its own. Once at most; see
  /// has_stopped().
  ToCoordinator stopped();

  bool works() const { return item_ >= 0; }
  int item() const { return item_; }
  int attempt() const { return attempt_; }
  bool has_stopped() const { return has_stopped_; }
  /// Then Leave follows whatever ends the item; a stopped() after that ending would be one message
  /// too many.
  bool told_to_stop() const { return stop_ordered_; }

 private:
  std::string state_text() const;
  int end_item();

  int num_ranks_ = 1;
  int item_ = -1;
  int attempt_ = 0;
  bool started_ = false;
  bool stop_ordered_ = false;
  bool has_stopped_ = false;
  bool left_ = false;
};

}  // namespace baton::coordinator
