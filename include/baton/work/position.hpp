#pragma once
// Where one rank stands: written by its main thread through the Heartbeat, sent by its watchdog,
// judged by world rank 0's (hang_judge.hpp).

#include <cstdint>
#include <string>

namespace baton::work {

struct Position {
  int world_rank = 0;
  std::string host;
  std::int64_t pid = 0;
  int group = -1;       // -1: in none
  std::string section;  // "load", "train", "reduce", "save", "evaluate", "wait for work", ...
  std::string item;     // the expert or chunk in hand, "" for none
  std::int64_t step = 0;
  bool is_first = false;  // loading, or the first step of an item in this process: all is slow once
  std::int64_t num_collectives = 0;  // group collectives entered so far
  bool in_collective = false;
  bool may_wait = false;  // a section without a limit: waiting for work
  bool has_left = false;  // it said farewell and will not be heard of again

  double seconds_in_place = 0;      // since the last progress, by the rank's own clock
  double seconds_since_report = 0;  // since that was heard, by the judge's clock

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("world_rank", self.world_rank);
    visit("host", self.host);
    visit("pid", self.pid);
    visit("group", self.group);
    visit("section", self.section);
    visit("item", self.item);
    visit("step", self.step);
    visit("is_first", self.is_first);
    visit("num_collectives", self.num_collectives);
    visit("in_collective", self.in_collective);
    visit("may_wait", self.may_wait);
    visit("has_left", self.has_left);
    visit("seconds_in_place", self.seconds_in_place);
    visit("seconds_since_report", self.seconds_since_report);
  }
};

/// A version and the fields.
std::string to_bytes(const Position& position);
/// kCommunication for bytes that are damaged or of another version.
Position position_from(const std::string& bytes);

}  // namespace baton::work
