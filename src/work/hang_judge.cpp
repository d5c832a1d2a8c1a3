#include "baton/work/hang_judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::work {
namespace {

constexpr double kGapPeriods = 4;

using Members = std::vector<const Position*>;
/// What ranks of one group that are in step have alike.
using Stand = std::tuple<std::string, std::int64_t, std::string, std::int64_t>;

double seconds_still(const Position& rank) {
  return rank.seconds_in_place + rank.seconds_since_report;
}

Stand stand_of(const Position& rank) {
  return {rank.item, rank.step, rank.section, rank.num_collectives};
}

struct Finding {
  Members ranks;
  std::string reason;
};

class GroupJudge {
 public:
  GroupJudge(Members members, double timeout_seconds)
      : members_(std::move(members)), timeout_(timeout_seconds) {}

  Finding judge() const {
    if (!stands_still()) {
      return {};
    }
    const auto silent =
        those([&](const auto& r) { return (is_over(r) || r.may_wait) && is_silent(r); });
    if (!silent.empty()) {
      return {silent, "it reports no longer: stopped, dead or its machine is gone"};
    }
    const auto outside = those([&](const auto& r) { return is_over(r) && !r.in_collective; });
    if (!outside.empty()) {
      return {
          outside,
          "it is in no collective of its group: a loop without end or a call that does not return"};
    }
    // Everyone left is over its time inside a collective: somebody who may wait is not there.
    const auto waiting = those([&](const auto& r) { return r.may_wait && !r.in_collective; });
    if (!waiting.empty()) {
      return {waiting, "it is in no collective of its group, which waits for it in one"};
    }
    const Members odd = odd_ones();
    if (!odd.empty()) {
      return {odd,
              "it is in another collective than the rest of its group: it left one out, or entered "
              "one too many"};
    }
    return {
        those([&](const auto& r) { return is_over(r); }),
        "no rank of its group comes out of the collective, and none can be told from the others"};
  }

 private:
  template <typename Condition>
  Members those(Condition condition) const {
    Members chosen;
    std::copy_if(members_.begin(), members_.end(), std::back_inserter(chosen),
                 [&](const Position* rank) { return condition(*rank); });
    return chosen;
  }

  bool is_over(const Position& rank) const {
    return !rank.may_wait && seconds_still(rank) > timeout_;
  }

  // A rank may have stood for a while before it fell silent; a living one reports far more often
  // than this.
  bool is_silent(const Position& rank) const { return rank.seconds_since_report > timeout_ / 2; }

  /// A rank outside collectives, or without a voice, is stuck by its own doing; one inside may wait
  /// for a rank that is slow but moves, so there nobody of the group may have moved.
  bool stands_still() const {
    bool someone_is_over = false;
    bool someone_moves = false;
    for (const Position* rank : members_) {
      if (is_over(*rank) && (is_silent(*rank) || !rank->in_collective)) {
        return true;
      }
      someone_is_over = someone_is_over || is_over(*rank);
      someone_moves = someone_moves || (!rank->may_wait && !is_over(*rank));
    }
    return someone_is_over && !someone_moves;
  }

  Members odd_ones() const {
    std::map<Stand, Members> by_stand;
    for (const Position* rank : members_) {
      by_stand[stand_of(*rank)].push_back(rank);
    }
    if (by_stand.size() < 2) {
      return {};
    }
    std::vector<Members> camps;
    for (auto& [stand, ranks] : by_stand) {
      camps.push_back(std::move(ranks));
    }
    std::stable_sort(camps.begin(), camps.end(),
                     [](const Members& a, const Members& b) { return a.size() > b.size(); });
    if (camps[0].size() == camps[1].size()) {
      return camps.size() == 2 ? the_one_ahead(camps[0], camps[1]) : Members{};
    }
    return those([&](const Position& rank) { return stand_of(rank) != stand_of(*camps[0][0]); });
  }

  /// Two equal camps: who got further with no more collectives, or as far with fewer, left one out.
  static Members the_one_ahead(const Members& first, const Members& second) {
    const auto is_ahead = [](const Position& a, const Position& b) {
      if (a.item != b.item) {
        return false;
      }
      return a.step > b.step ? a.num_collectives <= b.num_collectives
                             : a.step == b.step && a.num_collectives < b.num_collectives;
    };
    if (is_ahead(*first[0], *second[0])) {
      return first;
    }
    return is_ahead(*second[0], *first[0]) ? second : Members{};
  }

  Members members_;
  double timeout_;
};

std::string line_of(const Position& rank, const std::string& reason) {
  std::string text = fmt::format("rank {} (host {}, pid {}", rank.world_rank, rank.host, rank.pid);
  text += rank.group >= 0 ? fmt::format(", group {})", rank.group) : ")";
  if (!rank.item.empty()) {
    text += fmt::format(", expert or chunk {}, step {}", rank.item, rank.step);
  }
  text += fmt::format(", section \"{}\", {} collectives, no progress for {:.1f} s", rank.section,
                      rank.num_collectives, seconds_still(rank));
  if (rank.seconds_since_report >= 1) {
    text += fmt::format(" (last heard of {:.1f} s ago)", rank.seconds_since_report);
  }
  return text + ": " + reason;
}

}  // namespace

std::optional<HangVerdict> judge_hang(const std::vector<Position>& positions,
                                      double timeout_seconds) {
  std::map<int, Members> groups;
  for (const Position& rank : positions) {
    groups[rank.group].push_back(&rank);
  }
  std::map<int, std::string> lines;  // by world rank
  for (const auto& [group, members] : groups) {
    const Finding finding = GroupJudge(members, timeout_seconds).judge();
    for (const Position* rank : finding.ranks) {
      lines[rank->world_rank] = line_of(*rank, finding.reason);
    }
  }
  if (lines.empty()) {
    return std::nullopt;
  }
  HangVerdict verdict;
  for (const auto& [world_rank, line] : lines) {
    verdict.culprits.push_back(world_rank);
    verdict.text += (verdict.text.empty() ? "" : "\n") + line;
  }
  return verdict;
}

HangJudge::HangJudge(const std::vector<int>& world_ranks, const HangLimits& limits, double now)
    : limits_(limits) {
  for (const int world_rank : world_ranks) {
    Watched watched;
    watched.position.world_rank = world_rank;
    watched.position.host = "not known yet";
    watched.position.section = "before its first report";
    watched.heard_at = now;
    ranks_.push_back(watched);
  }
}

void HangJudge::on_report(const Position& position, double now) {
  for (Watched& watched : ranks_) {
    if (watched.position.world_rank == position.world_rank) {
      watched = {position, now, true};
      return;
    }
  }
  BATON_ASSERT(false,
               fmt::format("a report of rank {}, which is not watched", position.world_rank));
}

void HangJudge::forgive(double seconds) {
  for (Watched& watched : ranks_) {
    watched.heard_at += seconds;
  }
}

/// Where the rank stands now, by what was heard of it and for how long nothing was.
Position HangJudge::position_at(const Watched& watched, double now) const {
  Position position = watched.position;
  position.seconds_since_report = std::max(0.0, now - watched.heard_at);
  if (limits_.silence_only) {
    position.seconds_in_place = 0;
    position.may_wait = false;
  }
  const bool is_in_first_limit = seconds_still(position) <= limits_.first_step_seconds;
  if (!watched.ever_heard) {
    position.may_wait = is_in_first_limit;
  } else if (position.seconds_since_report > limits_.timeout_seconds) {
    position.may_wait = false;  // a rank that waits for work still reports
  } else if (!limits_.silence_only && position.is_first && is_in_first_limit) {
    position.may_wait = true;
  }
  return position;
}

std::optional<HangVerdict> HangJudge::judge(double now) const {
  std::vector<Position> positions;
  for (const Watched& watched : ranks_) {
    if (!watched.position.has_left) {
      positions.push_back(position_at(watched, now));
    }
  }
  return judge_hang(positions, limits_.timeout_seconds);
}

Position HangJudge::position_of(int world_rank) const {
  for (const Watched& watched : ranks_) {
    if (watched.position.world_rank == world_rank) {
      return watched.position;
    }
  }
  BATON_ASSERT(false, fmt::format("rank {} is not watched", world_rank));
}

std::vector<int> HangJudge::present_ranks() const {
  std::vector<int> present;
  for (const Watched& watched : ranks_) {
    if (!watched.position.has_left) {
      present.push_back(watched.position.world_rank);
    }
  }
  return present;
}

double GapFinder::lost_since_last(double now) {
  const double passed = now - last_;
  last_ = now;
  return passed > kGapPeriods * period_ ? passed - period_ : 0;
}

}  // namespace baton::work
