// How a plan is shown: to people as a table, to machines as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "baton/base/narrow.hpp"
#include "baton/base/text.hpp"
#include "baton/coordinator/group_plan.hpp"

namespace baton::coordinator {
namespace {

constexpr std::size_t kMaxShownExperts = 8;
constexpr std::size_t kMaxShownGroups = 32;
constexpr std::size_t kMaxShownWaves = 16;

std::string with_line_end(std::string text) {
  if (!text.empty() && text.back() != '\n') {
    text += '\n';
  }
  return text;
}

std::string shown_experts(const PlannedGroup& group, const PlanRequest& request) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < group.experts.size() && i < kMaxShownExperts; ++i) {
    names.push_back(request.experts[static_cast<std::size_t>(group.experts[i])].name);
  }
  if (group.experts.size() > kMaxShownExperts) {
    names.push_back(fmt::format("and {} more", group.experts.size() - kMaxShownExperts));
  }
  return names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::string format_ranks(const std::vector<int>& ranks) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) {
      ++last;
    }
    parts.push_back(last == i ? std::to_string(ranks[i])
                              : fmt::format("{}-{}", ranks[i], ranks[last]));
    i = last + 1;
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

namespace {

/// The experts' starts, one list a wave.
std::vector<std::vector<PlannedStart>> waves_of(const GroupPlan& plan) {
  std::vector<std::vector<PlannedStart>> waves;
  for (const PlannedStart& start : plan.starts) {
    const auto wave = static_cast<std::size_t>(start.wave);
    if (waves.size() <= wave) {
      waves.resize(wave + 1);
    }
    waves[wave].push_back(start);
  }
  return waves;
}

std::string waves_table(const GroupPlan& plan, const PlanRequest& request) {
  const std::vector<std::vector<PlannedStart>> waves = waves_of(plan);
  if (waves.size() < 2) {
    return "";
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t w = 0; w < waves.size() && w < kMaxShownWaves; ++w) {
    double end = 0;
    std::vector<std::string> shown;
    for (const PlannedStart& start : waves[w]) {
      end = std::max(end, start.end);
      if (shown.size() < kMaxShownExperts) {
        shown.push_back(fmt::format(
            "{} on {}", request.experts[static_cast<std::size_t>(start.expert)].name, start.group));
      }
    }
    if (waves[w].size() > kMaxShownExperts) {
      shown.push_back(fmt::format("and {} more", waves[w].size() - kMaxShownExperts));
    }
    rows.push_back({std::to_string(w + 1), std::to_string(waves[w].size()),
                    fmt::format("{:.0f}", waves[w].front().begin), fmt::format("{:.0f}", end),
                    fmt::format("{}", fmt::join(shown, ", "))});
  }
  std::string text = with_line_end(base::format_narrow_table(
      {"wave", "experts", "from", "until", "expert on group, as expected"}, rows));
  if (waves.size() > kMaxShownWaves) {
    text += fmt::format("... and {} more waves\n", waves.size() - kMaxShownWaves);
  }
  return text;
}

}  // namespace

std::string plan_text(const GroupPlan& plan, const PlanRequest& request) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t g = 0; g < plan.groups.size() && g < kMaxShownGroups; ++g) {
    const PlannedGroup& group = plan.groups[g];
    rows.push_back({std::to_string(g), format_ranks(group.ranks),
                    std::to_string(group.ranks.size()), std::to_string(group.num_nodes),
                    std::to_string(group.experts.size()), fmt::format("{:.0f}", group.token_steps),
                    shown_experts(group, request)});
  }
  std::string text = with_line_end(base::format_narrow_table(
      {"group", "ranks", "size", "nodes", "experts", "token-steps", "expected to train"}, rows));
  if (plan.groups.size() > kMaxShownGroups) {
    text += fmt::format("... and {} more groups\n", plan.groups.size() - kMaxShownGroups);
  }
  const std::string waves = waves_table(plan, request);
  text += waves.empty() ? "" : "\n" + waves;
  if (plan.coordinator_rank) {
    text += fmt::format("rank {} coordinates and trains nothing\n", *plan.coordinator_rank);
  }
  for (const std::string& warning : plan.warnings) {
    text += "warning: " + warning + "\n";
  }
  for (const std::string& note : plan.notes) {
    text += "note: " + note + "\n";
  }
  text += fmt::format("estimated time {:.0f} token-steps, no plan can need less than {:.0f}\n",
                      plan.makespan, plan.lower_bound);
  return text;
}

base::OrderedJson plan_json(const GroupPlan& plan, const PlanRequest& request) {
  base::OrderedJson json;
  json["format"] = 1;
  json["ranks"] = request.node_of_rank.size();
  json["groups"] = base::OrderedJson::array();
  for (const PlannedGroup& group : plan.groups) {
    base::OrderedJson experts = base::OrderedJson::array();
    for (const int index : group.experts) {
      experts.push_back(request.experts[static_cast<std::size_t>(index)].name);
    }
    json["groups"].push_back({{"ranks", group.ranks},
                              {"nodes", group.num_nodes},
                              {"experts", std::move(experts)},
                              {"token_steps", group.token_steps}});
  }
  json["waves"] = base::OrderedJson::array();
  for (const std::vector<PlannedStart>& wave : waves_of(plan)) {
    base::OrderedJson starts = base::OrderedJson::array();
    for (const PlannedStart& start : wave) {
      starts.push_back({{"expert", request.experts[static_cast<std::size_t>(start.expert)].name},
                        {"group", start.group},
                        {"begin_token_steps", start.begin},
                        {"end_token_steps", start.end}});
    }
    json["waves"].push_back(std::move(starts));
  }
  json["coordinator_rank"] =
      plan.coordinator_rank ? base::OrderedJson(*plan.coordinator_rank) : base::OrderedJson();
  json["idle_ranks"] = plan.idle_ranks;
  json["warnings"] = plan.warnings;
  json["notes"] = plan.notes;
  json["makespan_token_steps"] = plan.makespan;
  json["lower_bound_token_steps"] = plan.lower_bound;
  return json;
}

}  // namespace baton::coordinator
