#pragma once
// The part of the watchdog without threads, messages and clocks of its own: reports in, verdicts
// out. Times are seconds of one steady clock of the process that judges.

#include <optional>
#include <string>
#include <vector>

#include "baton/work/hang_judge.hpp"

namespace baton::work {

/// What a watchdog tells another: where its rank stands, or (farewell) that it will not be heard
/// from again.
struct WatchReport {
  RankPosition position;
  bool farewell = false;
};

/// MessagePack of a version and the fields in their order.
std::string to_bytes(const WatchReport& report);
/// kCommunication for bytes that are damaged or of another version.
WatchReport watch_report_from(const std::string& bytes);

struct WatchLimits {
  double timeout_seconds = 600;
  /// While an item is at step 0 (loading, first step), and for ranks that never reported yet.
  double first_step_seconds = 6000;
  /// Only silence counts, not what the reports say: how rank 0 is watched by the others, whose own
  /// place rank 0 judges.
  bool silence_only = false;
};

class WatchJudge {
 public:
  /// Watches `world_ranks` from `now` on.
  WatchJudge(const std::vector<int>& world_ranks, const WatchLimits& limits, double now);

  void on_report(const WatchReport& report, double now);
  /// The judging process did not run for this long: what it did not hear meanwhile does not count.
  void forgive(double seconds);
  std::optional<HangVerdict> judge(double now) const;

  /// The last known position of a watched rank.
  RankPosition position_of(int world_rank) const;
  /// Those that did not say farewell.
  std::vector<int> present_ranks() const;
  bool all_left() const { return present_ranks().empty(); }

 private:
  struct Watched {
    RankPosition position;
    double heard_at = 0;
    bool ever_heard = false;
    bool left = false;
  };

  std::vector<Watched> ranks_;
  WatchLimits limits_;
};

/// Tells how long a thread that should come by every `period` seconds was not run at all (stopped
/// processes, sleeping machines); a small delay is none.
class GapFinder {
 public:
  GapFinder(double period, double now) : period_(period), last_(now) {}

  /// 0, or the time lost since the last call.
  double lost_since_last(double now);

 private:
  double period_;
  double last_;
};

}  // namespace baton::work
