#pragma once
// Which group works on what, decided while the work goes on: a state machine without I/O and
// without a clock. A message of a worker in, messages to workers and events for the program out.
// The longest ready item goes first to the group that asks; an item becomes ready when its
// prerequisites are done; failures of communication or storage are tried again, others are not, and
// what depends on a failed item is given up; the rest goes on. Used by the train and eval commands
// on world rank 0, and by simulations of large clusters.

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "baton/coordinator/messages.hpp"

namespace baton::coordinator {

struct WorkItem {
  std::string name;
  double cost = 0;           // estimated token-steps on one rank, >= 0
  int max_useful_ranks = 0;  // more ranks than this do not help; 0: no limit
  std::vector<int> after;    // items that must be done before this one starts
};

struct QueueOptions {
  int max_attempts = 3;  // of an item whose failures are worth trying again
};

/// True for failures that another try may cure: communication and storage.
bool is_worth_retrying(base::ErrorKind kind);

// ---- events, for the program on world rank 0
struct ItemStarted {
  int group = 0;
  int item = 0;
  int attempt = 1;
};
struct ItemProgress {
  int group = 0;
  Progress progress;
};
struct ItemFinished {
  int group = 0;
  int item = 0;
  std::string payload;
};
/// One try failed; `will_retry` says whether it is in the queue again (where the world is stopping:
/// for the next run).
struct ItemFailed {
  int group = 0;
  int item = 0;
  int attempt = 1;
  base::ErrorKind kind = base::ErrorKind::kInternal;
  std::string text;
  bool will_retry = false;
};
/// Never started: an item it needs is missing.
struct ItemGivenUp {
  int item = 0;
  int missing = 0;
};
struct GroupLeft {
  int group = 0;
};
using Event =
    std::variant<ItemStarted, ItemProgress, ItemFinished, ItemFailed, ItemGivenUp, GroupLeft>;

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

/// A message costs O(log items) plus what it sets free, and O(groups) more where the groups differ
/// in size: then an item waits for a larger group that is busy where that would still end it
/// sooner, by the estimates alone. Nothing is assigned before every group of an unequal set is
/// there, so that the longest item meets the fastest group.
class Coordinator {
 public:
  /// `num_ranks_of_group`: sizes of the groups, in their order. A prerequisite that does not exist
  /// or a circle of them is an assertion (the program made the items).
  Coordinator(std::vector<WorkItem> items,
              std::vector<int> num_ranks_of_group,
              QueueOptions options = {});

  /// A message of this group's leader. A message that does not fit the group's state (a Finished
  /// for an item it does not have) is a kCommunication error that names both, and changes nothing.
  /// Stopped makes the whole world stop, asked for or not, and is heard even of a group that was
  /// just told to leave.
  Actions on_message(int group, const ToCoordinator& message);

  /// From now on nothing is assigned; every group that works is told to stop, idle ones leave. A
  /// second call does nothing.
  Actions on_stop();

  /// Every group has left.
  bool finished() const { return num_left_ == groups_.size(); }
  bool stopping() const { return stopping_; }
  ItemState state_of(int item) const;
  /// Items that are not done, in their order; what a run that ended reports as missing.
  std::vector<int> missing_items() const;

 private:
  enum class GroupState { kAbsent, kIdle, kWorking, kStopping, kLeft };
  struct Group {
    int num_ranks = 1;
    GroupState state = GroupState::kAbsent;
    int item = -1;
    double free_at = 0;  // estimated, see now_
  };
  struct Entry {
    WorkItem work;
    ItemState state = ItemState::kWaiting;
    int num_attempts = 0;
    std::size_t num_awaited = 0;  // prerequisites that are not done
    std::vector<int> dependants = {};
  };

  Group& group_at(int group);
  Entry& entry_at(int item);
  void link_prerequisites();
  std::string state_text(const Group& group) const;
  [[noreturn]] void does_not_fit(int group, const std::string& found) const;
  void check_has(int group, int item, const char* message) const;

  void receive(int group, const Ready& message, Actions& actions);
  void receive(int group, const Progress& message, Actions& actions);
  void receive(int group, const Finished& message, Actions& actions);
  void receive(int group, const Failed& message, Actions& actions);
  void receive(int group, const Stopped& message, Actions& actions);

  void make_ready(int item);
  void give_up_dependants(int item, Actions& actions);
  void make_idle(int group);
  void assign(int group, int item, Actions& actions);
  void assign_ready_items(Actions& actions);
  void stop_working_groups(Actions& actions);
  void settle(Actions& actions);

  std::vector<Entry> items_;
  std::vector<Group> groups_;
  QueueOptions options_;
  std::set<std::pair<double, int>>
      ready_;                 // (-cost, item): the longest first, the earlier one on a tie
  std::set<int> idle_;        // groups
  std::size_t num_open_ = 0;  // items that wait, are ready or run
  std::size_t num_absent_ = 0;
  std::size_t num_left_ = 0;
  bool groups_differ_ = false;
  bool stopping_ = false;
  double now_ = 0;  // token-steps that the estimates say have passed; moves with the endings
};

}  // namespace baton::coordinator
