#pragma once
// Moves the coordinator's and the workers' bytes while the work goes on. World rank 0 runs the
// coordinator in a thread of its own beside whatever its main thread does (train, evaluate, or
// nothing); every group's leader speaks with it and tells its group. Decisions are the state
// machines' (baton/coordinator); what an item is, is the caller's.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/coordinator/coordinator.hpp"
#include "baton/coordinator/worker.hpp"
#include "baton/work/heartbeat.hpp"
#include "baton/work/stop_watcher.hpp"

namespace baton::work {

/// What a group made of an item.
struct ItemResult {
  bool stopped = false;  // left on the way because a stop was asked for; its state is safe
  std::string payload;   // of a finished item, for on_event
};

/// What the item in hand may call while it is worked on.
class ItemContext {
 public:
  virtual ~ItemContext() = default;
  /// On the leader: a word on how far it is, at most twice a second and always the last step.
  virtual void tell(std::int64_t step,
                    std::int64_t num_steps,
                    double loss,
                    double tokens_per_second,
                    std::optional<double> validation_loss) = 0;
  /// Whether this rank knows that the group should leave: a signal, or the coordinator said so.
  /// Cheap; call it often.
  virtual bool should_stop() = 0;
};

struct WorkRequest {
  std::vector<coordinator::WorkItem> items;
  std::vector<std::vector<int>> groups;  // world ranks, the leader first
  /// Collective over the group. A comm::GroupError (or any error in a group of one) is a failed
  /// item and the group goes on; any other error ends the world.
  std::function<ItemResult(int item, int attempt, comm::Communicator& group, ItemContext& context)>
      run_item;
  /// On world rank 0, in the coordinator's thread.
  std::function<void(const coordinator::Event& event)> on_event;
};

struct ItemFailure {
  int item = 0;
  base::ErrorKind kind = base::ErrorKind::kInternal;
  std::string text;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("item", self.item);
    visit("kind", self.kind);
    visit("text", self.text);
  }
};

/// The same on every rank.
struct WorkOutcome {
  bool stopped = false;
  std::vector<int> missing;           // items that are not done
  std::vector<ItemFailure> failures;  // the last one of each failed item

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("stopped", self.stopped);
    visit("missing", self.missing);
    visit("failures", self.failures);
  }
};

/// The group that a world rank is in; -1: none.
int group_index_of(const std::vector<std::vector<int>>& groups, int rank);

/// Collective over the world. `group` is this rank's group (nothing for a rank in none),
/// `group_index` its place in `request.groups`. An error in the coordinator's thread (of on_event,
/// say) ends the work in an orderly way and is then thrown on every rank, agreed on. After a second
/// one the first is thrown on rank 0 alone, and others may still wait: the world must be ended.
WorkOutcome run_work(comm::ProcessWorld& world,
                     comm::Communicator* group,
                     int group_index,
                     const WorkRequest& request,
                     StopWatcher& stop_watcher,
                     Heartbeat& heartbeat);

}  // namespace baton::work
