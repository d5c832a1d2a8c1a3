// How a plan is shown: to people as a table, to machines as JSON.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "baton/base/text.hpp"
#include "baton/coordinator/group_plan.hpp"

namespace baton::coordinator {
namespace {

constexpr std::size_t kMaxShownExperts = 8;
constexpr std::size_t kMaxShownGroups = 32;

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

std::string plan_text(const GroupPlan& plan, const PlanRequest& request) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t g = 0; g < plan.groups.size() && g < kMaxShownGroups; ++g) {
    const PlannedGroup& group = plan.groups[g];
    rows.push_back({std::to_string(g), format_ranks(group.ranks),
                    std::to_string(group.ranks.size()), std::to_string(group.num_nodes),
                    std::to_string(group.experts.size()), fmt::format("{:.0f}", group.token_steps),
                    shown_experts(group, request)});
  }
  std::string text = base::format_table(
      {"group", "ranks", "size", "nodes", "experts", "token-steps", "trains, in order"}, rows);
  if (!text.empty() && text.back() != '\n') {
    text += '\n';
  }
  if (plan.groups.size() > kMaxShownGroups) {
    text += fmt::format("... and {} more groups\n", plan.groups.size() - kMaxShownGroups);
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
  json["idle_ranks"] = plan.idle_ranks;
  json["warnings"] = plan.warnings;
  json["notes"] = plan.notes;
  json["makespan_token_steps"] = plan.makespan;
  json["lower_bound_token_steps"] = plan.lower_bound;
  return json;
}

}  // namespace baton::coordinator
