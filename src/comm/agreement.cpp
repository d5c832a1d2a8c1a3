#include "agreement.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace baton::comm {
namespace {

constexpr int kErrorFormat = 1;

}  // namespace

std::string error_to_bytes(const base::Error& error) {
  const base::ErrorDetails& details = error.details();
  const nlohmann::json json{{"format", kErrorFormat},
                            {"kind", base::kind_name(error.kind())},
                            {"summary", error.summary()},
                            {"where", details.where},
                            {"expected", details.expected},
                            {"found", details.found},
                            {"fix", details.fix}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

base::Error error_from_bytes(const std::string& bytes, int found_by_rank) {
  const nlohmann::json json = nlohmann::json::parse(bytes, nullptr, false);
  const std::string rank = fmt::format("rank {}", found_by_rank);
  if (!json.is_object() || json.value("format", 0) != kErrorFormat) {
    return base::Error(base::ErrorKind::kInternal, "a rank failed and its error could not be read",
                       {.where = rank,
                        .expected = fmt::format("error format {}", kErrorFormat),
                        .found = bytes.substr(0, 200),
                        .fix = "run the same program on every rank"});
  }
  const std::string where = json.value("where", "");
  return base::Error(base::kind_from_name(json.value("kind", "")), json.value("summary", ""),
                     {.where = where.empty() ? rank : rank + ": " + where,
                      .expected = json.value("expected", ""),
                      .found = json.value("found", ""),
                      .fix = json.value("fix", "")});
}

GroupPlace find_place(const std::vector<std::vector<int>>& members,
                      int world_rank,
                      int world_size) {
  std::vector<bool> taken(static_cast<std::size_t>(world_size), false);
  GroupPlace place;
  for (std::size_t g = 0; g < members.size(); ++g) {
    BATON_ASSERT(!members[g].empty(), fmt::format("group {} is empty", g));
    for (std::size_t position = 0; position < members[g].size(); ++position) {
      const int member = members[g][position];
      BATON_ASSERT(member >= 0 && member < world_size,
                   fmt::format("rank {} of {}", member, world_size));
      BATON_ASSERT(!taken[static_cast<std::size_t>(member)],
                   fmt::format("rank {} is named twice", member));
      taken[static_cast<std::size_t>(member)] = true;
      if (member == world_rank) {
        place = {static_cast<int>(g), static_cast<int>(position)};
      }
    }
  }
  return place;
}

}  // namespace baton::comm
