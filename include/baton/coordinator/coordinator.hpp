#pragma once
// Which group works on what, decided while the work goes on: a state machine without I/O and without a clock. A
// message of a worker in, messages to workers and events for the program out. The longest ready item goes first to
// the group that asks; an item becomes ready when its prerequisites are done; failures of communication or storage
// are tried again, others are not, and what depends on a failed item is given up; the rest goes on. Used by the
// train and eval commands on world rank 0, and by simulations of large clusters.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "baton/coordinator/messages.hpp"

namespace baton::coordinator {

struct WorkItem {
  std::string name;
  double cost = 0;          // estimated token-steps on one rank, >= 0
  int max_useful_ranks = 0; // more ranks than this do not help; 0: no limit
  std::vector<int> after;   // items that must be done before this one starts
};

struct QueueOptions {
  int max_attempts = 3;  // of an item whose failures are worth trying again
};

/// True for failures that another try may cure: communication and storage.
bool is_worth_retrying(base::ErrorKind kind);

// ---- events, for the program on world rank 0
struct ItemStarted { int group = 0; int item = 0; int attempt = 1; };
struct ItemProgress { int group = 0; Progress progress; };
struct ItemFinished { int group = 0; int item = 0; std::string payload; };
/// One try failed; `will_retry` says whether it is in the queue again.
struct ItemFailed { int group = 0; int item = 0; int attempt = 1; base::ErrorKind kind = base::ErrorKind::kInternal; std::string text; bool will_retry = false; };
/// Never started: an item it needs is missing.
struct ItemGivenUp { int item = 0; int missing = 0; };
struct GroupLeft { int group = 0; };
using Event = std::variant<ItemStarted, ItemProgress, ItemFinished, ItemFailed, ItemGivenUp, GroupLeft>;

struct Outgoing {
  int group = 0;
  ToWorker message;
};

/// What one step of the machine wants done, in order.
struct Actions {
  std::vector<Outgoing> messages;
  std::vector<Event> events;
};

enum class ItemState { kWaiting, kReady, kRunning, kDone, kFailed, kGivenUp };

class Coordinator {
 public:
  /// `num_ranks_of_group`: sizes of the groups, in their order. A prerequisite that does not exist or a circle of
  /// them is an assertion (the program made the items).
  Coordinator(std::vector<WorkItem> items, std::vector<int> num_ranks_of_group, QueueOptions options = {});

  /// A message of this group's leader. A message that does not fit the group's state (a Finished for an item it does
  /// not have) is a kCommunication error that names both.
  Actions on_message(int group, const ToCoordinator& message);

  /// From now on nothing is assigned; every group that works is told to stop, idle ones leave. A second call does
  /// nothing.
  Actions on_stop();

  /// Every group has left.
  bool finished() const;
  bool stopping() const;
  ItemState state_of(int item) const;
  /// Items that are not done, in their order; what a run that ended reports as missing.
  std::vector<int> missing_items() const;

 private:
  // the implementation's own
};

}  // namespace baton::coordinator
