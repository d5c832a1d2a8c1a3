// How findings are shown and carried.

#include <fmt/format.h>

#include "baton/base/text.hpp"
#include "baton/doctor/findings.hpp"

namespace baton::doctor {

namespace {

base::OrderedJson optional_json(const std::optional<std::uint64_t>& value) {
  return value ? base::OrderedJson(*value) : base::OrderedJson(nullptr);
}

std::optional<std::uint64_t> optional_from(const base::Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<std::uint64_t>());
}

}  // namespace

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

base::OrderedJson to_json(const RankFacts& facts) {
  return {{"rank", facts.world_rank},
          {"host", facts.host},
          {"node", facts.node},
          {"local_rank", facts.local_rank},
          {"local_size", facts.local_size},
          {"pid", facts.pid},
          {"build", facts.build},
          {"device", facts.device},
          {"device_id", facts.device_id},
          {"device_advice", facts.device_advice},
          {"affinity_cores", facts.affinity_cores},
          {"usable_cores", facts.usable_cores},
          {"machine_cores", facts.machine_cores},
          {"limit_open_files", optional_json(facts.open_files)},
          {"limit_locked_bytes", optional_json(facts.locked_bytes)},
          {"limit_file_bytes", optional_json(facts.file_bytes)},
          {"limit_processes", optional_json(facts.processes)},
          {"has_infiniband", facts.has_infiniband},
          {"shared_memory_bytes", optional_json(facts.shared_memory_bytes)},
          {"memory_bytes", facts.memory_bytes},
          {"utc_seconds", facts.utc_seconds},
          {"clock_jump_seconds", facts.clock_jump}};
}

RankFacts rank_facts_from_json(const base::Json& json) {
  RankFacts facts;
  json.at("rank").get_to(facts.world_rank);
  json.at("host").get_to(facts.host);
  json.at("node").get_to(facts.node);
  json.at("local_rank").get_to(facts.local_rank);
  json.at("local_size").get_to(facts.local_size);
  json.at("pid").get_to(facts.pid);
  json.at("build").get_to(facts.build);
  json.at("device").get_to(facts.device);
  json.at("device_id").get_to(facts.device_id);
  json.at("device_advice").get_to(facts.device_advice);
  json.at("affinity_cores").get_to(facts.affinity_cores);
  json.at("usable_cores").get_to(facts.usable_cores);
  json.at("machine_cores").get_to(facts.machine_cores);
  facts.open_files = optional_from(json.at("limit_open_files"));
  facts.locked_bytes = optional_from(json.at("limit_locked_bytes"));
  facts.file_bytes = optional_from(json.at("limit_file_bytes"));
  facts.processes = optional_from(json.at("limit_processes"));
  json.at("has_infiniband").get_to(facts.has_infiniband);
  facts.shared_memory_bytes = optional_from(json.at("shared_memory_bytes"));
  json.at("memory_bytes").get_to(facts.memory_bytes);
  json.at("utc_seconds").get_to(facts.utc_seconds);
  json.at("clock_jump_seconds").get_to(facts.clock_jump);
  return facts;
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
    json["ranks"].push_back(to_json(rank));
  }
  return json;
}

}  // namespace baton::doctor
