// How findings are shown and carried.

#include <fmt/format.h>

#include "baton/base/text.hpp"
#include "baton/base/wire.hpp"
#include "baton/doctor/findings.hpp"

namespace baton::doctor {

std::string health_name(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kSkipped:
      return "not tested";
    case Health::kWarning:
      return "warn";
    case Health::kBad:
      return "BAD";
  }
  base::fail_assertion("a health without a name", std::to_string(static_cast<int>(health)));
}

std::string doctor_text(const std::vector<Finding>& findings, const std::vector<RankFacts>& ranks) {
  std::vector<std::vector<std::string>> rows;
  for (const Finding& finding : findings) {
    rows.push_back({finding.check, health_name(finding.health), finding.found});
  }
  std::string text = base::format_table({"what", "state", "found"}, rows);
  if (ranks.size() > 1) {
    rows.clear();
    for (const RankFacts& rank : ranks) {
      rows.push_back({std::to_string(rank.world_rank), rank.host, std::to_string(rank.local_rank),
                      std::to_string(rank.usable_cores), std::to_string(rank.pid), rank.device});
    }
    text += "\n" +
            base::format_table({"rank", "host", "local rank", "cores", "process", "device"}, rows);
  }
  std::string advice;
  for (const Finding& finding : findings) {
    if (finding.health == Health::kWarning || finding.health == Health::kBad) {
      advice +=
          fmt::format("  {} ({}): {}\n", finding.check, health_name(finding.health), finding.fix);
    }
  }
  return text + (advice.empty() ? "\nNothing is wrong here.\n" : "\nWhat to do:\n" + advice);
}

base::OrderedJson doctor_json(const std::vector<Finding>& findings,
                              const std::vector<RankFacts>& ranks) {
  base::OrderedJson json{{"exit_code", doctor_exit_code(findings)},
                         {"findings", base::OrderedJson::array()},
                         {"ranks", base::OrderedJson::array()}};
  for (const Finding& finding : findings) {
    json["findings"].push_back({{"check", finding.check},
                                {"state", health_name(finding.health)},
                                {"found", finding.found},
                                {"fix", finding.fix}});
  }
  for (const RankFacts& rank : ranks) {
    json["ranks"].push_back(base::json_object(rank));
  }
  return json;
}

}  // namespace baton::doctor
