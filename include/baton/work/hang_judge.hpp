#pragma once
// Which rank is stuck: a pure function of what the ranks said of themselves. Used by the watchdog
// on world rank 0.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace baton::work {

/// Where a rank stands, as its watchdog thread reports it.
struct RankPosition {
  int world_rank = 0;
  int group = -1;  // -1: in none
  std::string host;
  std::int64_t pid = 0;
  std::string section;  // "load", "train", "reduce", "save", "evaluate", "wait for work", ...
  std::string item;     // the expert or chunk in hand, "" for none
  std::int64_t step = 0;
  std::int64_t num_collectives = 0;  // group collectives entered so far
  bool in_collective = false;
  bool may_wait = false;  // a section without a limit: waiting for work
  double seconds_in_place =
      0;  // since the last progress, by the rank's own clock, when it reported
  double seconds_since_report = 0;  // since that report came in, by the judge's clock
};

struct HangVerdict {
  std::vector<int> culprits;  // world ranks, ascending
  std::string
      text;  // one line a culprit: rank, host, pid, item, step, section, since when, and why it
};

/// Nothing while every rank made progress within `timeout_seconds`, or waits in a collective for
/// one that did. Else, of a group that stands still, in this order: ranks that no longer report
/// (stopped or dead), ranks that are in no collective, ranks whose count of collectives or whose
/// place differs from that of most, else the whole group. A rank counts as no longer reporting
/// after half the limit, so reports must come several times as often as that. A rank in a section
/// that may wait is never the reason to judge, but is named where the rest of its group waits for
/// it in a collective. The ranks of group -1 are taken as one group.
std::optional<HangVerdict> judge_hang(const std::vector<RankPosition>& positions,
                                      double timeout_seconds);

}  // namespace baton::work
