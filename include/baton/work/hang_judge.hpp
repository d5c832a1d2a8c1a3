#pragma once
// Which rank is stuck: the part of the watchdog without threads, messages and clocks of its own.
// Positions in, verdicts out. Times are seconds of one steady clock of the process that judges.

#include <optional>
#include <string>
#include <vector>

#include "baton/work/position.hpp"

namespace baton::work {

struct HangVerdict {
  std::vector<int> culprits;  // world ranks, ascending
  /// One line a culprit: rank, host, pid, item, step, section, since when, and why it.
  std::string text;
};

/// The rule. Nothing while every rank made progress within `timeout_seconds`, or waits in a
/// collective for one that did. Else, of a group that stands still, in this order: ranks that no
/// longer report (stopped or dead), ranks that are in no collective, ranks whose count of
/// collectives or whose place differs from that of most, else the whole group. A rank counts as no
/// longer reporting after half the limit, so reports must come several times as often as that. A
/// rank in a section that may wait is never the reason to judge, but is named where the rest of its
/// group waits for it in a collective. The ranks of group -1 are taken as one group.
std::optional<HangVerdict> judge_hang(const std::vector<Position>& positions,
                                      double timeout_seconds);

struct HangLimits {
  double timeout_seconds = 600;
  /// While a rank is at its first step (loading, warming up), and for ranks that never reported yet.
  double first_step_seconds = 6000;
  /// Only silence counts, not what the reports say: how rank 0 is watched by the others, whose own
  /// place rank 0 judges.
  bool silence_only = false;
};

/// The rule over what is heard of the ranks as time goes by.
class HangJudge {
 public:
  /// Watches `world_ranks` from `now` on.
  HangJudge(const std::vector<int>& world_ranks, const HangLimits& limits, double now);

  void on_report(const Position& position, double now);
  /// The judging process did not run for this long: what it did not hear meanwhile does not count.
  void forgive(double seconds);
  std::optional<HangVerdict> judge(double now) const;

  /// The last known position of a watched rank.
  Position position_of(int world_rank) const;
  /// Those that did not say farewell.
  std::vector<int> present_ranks() const;
  bool all_left() const { return present_ranks().empty(); }

 private:
  struct Watched {
    Position position;
    double heard_at = 0;
    bool ever_heard = false;
  };

  Position position_at(const Watched& watched, double now) const;

  std::vector<Watched> ranks_;
  HangLimits limits_;
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
