#include "baton/work/watch_judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "baton/base/error.hpp"

namespace baton::work {
namespace {

constexpr int kReportVersion = 1;
constexpr std::size_t kNumFields = 14;
constexpr double kGapPeriods = 4;

base::Error unreadable(const std::string& found) {
  return base::Error(
      base::ErrorKind::kCommunication, "a report of the watchdog could not be read",
      {.expected = fmt::format("version {} with {} fields", kReportVersion, kNumFields),
       .found = found,
       .fix = "run the same program on every rank"});
}

}  // namespace

std::string to_bytes(const WatchReport& report) {
  const RankPosition& p = report.position;
  const nlohmann::json json = {kReportVersion,
                               report.farewell,
                               p.world_rank,
                               p.group,
                               p.host,
                               p.pid,
                               p.section,
                               p.item,
                               p.step,
                               p.num_collectives,
                               p.in_collective,
                               p.may_wait,
                               p.seconds_in_place,
                               p.seconds_since_report};
  std::string bytes;
  nlohmann::json::to_msgpack(json, bytes);
  return bytes;
}

WatchReport watch_report_from(const std::string& bytes) {
  const nlohmann::json json = nlohmann::json::from_msgpack(bytes, true, false);
  if (!json.is_array() || json.empty()) {
    throw unreadable(fmt::format("{} bytes of something else", bytes.size()));
  }
  if (json[0] != kReportVersion || json.size() != kNumFields) {
    throw unreadable(fmt::format("version {} with {} fields", json[0].dump(), json.size()));
  }
  try {
    WatchReport report;
    RankPosition& p = report.position;
    report.farewell = json[1].get<bool>();
    p.world_rank = json[2].get<int>();
    p.group = json[3].get<int>();
    p.host = json[4].get<std::string>();
    p.pid = json[5].get<std::int64_t>();
    p.section = json[6].get<std::string>();
    p.item = json[7].get<std::string>();
    p.step = json[8].get<std::int64_t>();
    p.num_collectives = json[9].get<std::int64_t>();
    p.in_collective = json[10].get<bool>();
    p.may_wait = json[11].get<bool>();
    p.seconds_in_place = json[12].get<double>();
    p.seconds_since_report = json[13].get<double>();
    return report;
  } catch (const nlohmann::json::exception& error) {
    throw unreadable(error.what());
  }
}

WatchJudge::WatchJudge(const std::vector<int>& world_ranks, const WatchLimits& limits, double now)
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

void WatchJudge::on_report(const WatchReport& report, double now) {
  for (Watched& watched : ranks_) {
    if (watched.position.world_rank == report.position.world_rank) {
      watched = {report.position, now, true, report.farewell};
      return;
    }
  }
  BATON_ASSERT(
      false, fmt::format("a report of rank {}, which is not watched", report.position.world_rank));
}

void WatchJudge::forgive(double seconds) {
  for (Watched& watched : ranks_) {
    watched.heard_at += seconds;
  }
}

std::optional<HangVerdict> WatchJudge::judge(double now) const {
  std::vector<RankPosition> positions;
  for (const Watched& watched : ranks_) {
    if (watched.left) {
      continue;
    }
    RankPosition position = watched.position;
    position.seconds_since_report = std::max(0.0, now - watched.heard_at);
    if (limits_.silence_only) {
      position.seconds_in_place = 0;
      position.may_wait = false;
    }
    const double still = position.seconds_in_place + position.seconds_since_report;
    if (!watched.ever_heard) {
      position.may_wait = still <= limits_.first_step_seconds;
    } else if (position.seconds_since_report > limits_.timeout_seconds) {
      position.may_wait = false;  // a rank that waits for work still reports
    } else if (!limits_.silence_only && position.step == 0 && still <= limits_.first_step_seconds) {
      position.may_wait = true;
    }
    positions.push_back(std::move(position));
  }
  return judge_hang(positions, limits_.timeout_seconds);
}

RankPosition WatchJudge::position_of(int world_rank) const {
  for (const Watched& watched : ranks_) {
    if (watched.position.world_rank == world_rank) {
      return watched.position;
    }
  }
  BATON_ASSERT(false, fmt::format("rank {} is not watched", world_rank));
}

std::vector<int> WatchJudge::present_ranks() const {
  std::vector<int> present;
  for (const Watched& watched : ranks_) {
    if (!watched.left) {
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
