#pragma once
// What a rank's main thread says of itself while it works, for the thread that watches it; and
// which ranks of a group are slow. Used by the commands and the watchdog.

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "baton/comm/communicator.hpp"
#include "baton/work/position.hpp"

namespace baton::work {

/// Seconds of a clock that never jumps and stands still while the machine sleeps.
double steady_seconds();

/// Every function may be called by any thread. Progress is a call of set_place() or
/// note_progress(), the begin and end of a Section, and every collective of the group.
class Heartbeat {
 public:
  explicit Heartbeat(std::function<double()> clock = steady_seconds);
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// `is_first`: where an item is loaded and warmed up the watchdog is more patient. So it is from
  /// the start to the first call without it.
  void set_place(const std::string& section,
                 const std::string& item,
                 std::int64_t step,
                 bool is_first = false);
  void note_progress();
  /// In a section without a limit: waiting for work.
  void set_may_wait(bool may_wait);
  /// The group this rank works in. `activity` is called by other threads until the next
  /// set_group() or leave_group() returns, so what it looks at must live until then: GroupScope
  /// sees to that.
  void set_group(int index, std::function<comm::CommunicatorActivity()> activity);
  void leave_group();

  /// Without rank, host and process, which the watchdog knows.
  Position position() const;
  /// The process did not run for this long: it does not count as standing still.
  void forgive(double seconds);
  /// The clock less what was forgiven: for the length of work that may have been suspended.
  double seconds_run() const;

  /// In this group until the end of the scope, however that comes. Made after the group, it ends
  /// before it.
  class GroupScope {
   public:
    GroupScope(Heartbeat& heartbeat, int index, const comm::Communicator& group);
    ~GroupScope() { heartbeat_.leave_group(); }
    GroupScope(const GroupScope&) = delete;
    GroupScope& operator=(const GroupScope&) = delete;

   private:
    Heartbeat& heartbeat_;
  };

  /// A thread beside the main thread for which other ranks wait (the coordinator's), until the end
  /// of the scope: one that stands still is where this rank stands, whatever its main thread does or
  /// waits for. One at a time.
  class Helper {
   public:
    Helper(Heartbeat& heartbeat, const std::string& section);
    ~Helper();
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    void note_progress();

   private:
    Heartbeat& heartbeat_;
  };

  /// Another section until the end of the scope, then the one before.
  class Section {
   public:
    Section(Heartbeat& heartbeat, const std::string& name, bool may_wait = false);
    ~Section();
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

   private:
    Heartbeat& heartbeat_;
    std::string name_before_;
    bool could_wait_before_ = false;
  };

 private:
  void note_progress_locked() const;

  std::function<double()> clock_;
  mutable std::mutex mutex_;
  Position position_;
  std::function<comm::CommunicatorActivity()> activity_;
  mutable std::int64_t num_collectives_seen_ = 0;
  mutable double last_progress_ = 0;
  double seconds_forgiven_ = 0;
  std::string helper_section_;  // "": no helper
  double helper_progress_ = 0;
};

/// Which ranks of a group are slow, as one line for the log: "rank 3: 0.412 s a step, 1.9 times the
/// group's 0.214 s". `seconds_of_rank[r]`: what a step costs group rank r without the time it waits
/// in collectives. Slow is more than `factor` times the median (of an even number the smaller of
/// the middle two). "" when none is.
std::string straggler_text(std::span<const double> seconds_of_rank, double factor = 1.5);

}  // namespace baton::work
