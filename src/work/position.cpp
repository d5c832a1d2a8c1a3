#include "baton/work/position.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <nlohmann/json.hpp>

#include "baton/base/error.hpp"

namespace baton::work {
namespace {

constexpr int kReportVersion = 2;

/// The one list of the fields that travel, in their order.
template <typename P, typename Visitor>
void visit_fields(P& position, Visitor visit) {
  visit(position.world_rank);
  visit(position.host);
  visit(position.pid);
  visit(position.group);
  visit(position.section);
  visit(position.item);
  visit(position.step);
  visit(position.is_first);
  visit(position.num_collectives);
  visit(position.in_collective);
  visit(position.may_wait);
  visit(position.has_left);
  visit(position.seconds_in_place);
  visit(position.seconds_since_report);
}

nlohmann::json to_json(const Position& position) {
  nlohmann::json json = nlohmann::json::array({kReportVersion});
  visit_fields(position, [&json](const auto& field) { json.push_back(field); });
  return json;
}

base::Error unreadable(const std::string& found) {
  return base::Error(base::ErrorKind::kCommunication, "a report of the watchdog could not be read",
                     {.expected = fmt::format("version {} with {} fields", kReportVersion,
                                              to_json(Position{}).size()),
                      .found = found,
                      .fix = "run the same program on every rank"});
}

}  // namespace

std::string to_bytes(const Position& position) {
  std::string bytes;
  nlohmann::json::to_msgpack(to_json(position), bytes);
  return bytes;
}

Position position_from(const std::string& bytes) {
  const nlohmann::json json = nlohmann::json::from_msgpack(bytes, true, false);
  if (!json.is_array() || json.empty()) {
    throw unreadable(fmt::format("{} bytes of something else", bytes.size()));
  }
  if (json[0] != kReportVersion || json.size() != to_json(Position{}).size()) {
    throw unreadable(fmt::format("version {} with {} fields", json[0].dump(), json.size()));
  }
  try {
    Position position;
    std::size_t place = 0;
    visit_fields(position, [&](auto& field) { json[++place].get_to(field); });
    return position;
  } catch (const nlohmann::json::exception& error) {
    throw unreadable(error.what());
  }
}

}  // namespace baton::work
