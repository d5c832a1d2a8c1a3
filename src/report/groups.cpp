#include "baton/report/groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "baton/base/seed.hpp"
#include "baton/base/text.hpp"

namespace baton::report {
namespace {

constexpr std::uint64_t kBootstrapSeed = 1;

bool is_apart_from_settings(const std::string& key) {
  static const std::set<std::string> kKeys = {
      "train.seed",         "output.output_dir",   "data.tasks",       "data.task_order",
      "train.save_seconds", "train.logging_steps", "train.save_steps", "eval.eval_batch_size"};
  return kKeys.contains(key) || key.starts_with("cluster.");
}

std::string setting(const LoadedRun& loaded, const std::string& key) {
  const auto found = loaded.record.config.find(key);
  return found == loaded.record.config.end() ? "not recorded" : found->second;
}

/// The settings in which the groups of one method differ.
std::string telling_settings(const LoadedRun& loaded, const std::vector<const LoadedRun*>& others) {
  std::set<std::string> keys;
  for (const LoadedRun* other : others) {
    for (const auto& [key, value] : other->record.config) {
      keys.insert(key);
    }
  }
  std::vector<std::string> told;
  for (const std::string& key : keys) {
    const bool differs = std::any_of(others.begin(), others.end(), [&](const LoadedRun* other) {
      return setting(*other, key) != setting(loaded, key);
    });
    if (differs && !is_apart_from_settings(key)) {
      told.push_back(key.substr(key.find('.') + 1) + " " + setting(loaded, key));
    }
  }
  constexpr std::size_t kMostShown = 3;
  if (told.size() > kMostShown) {
    told.resize(kMostShown);
    told.push_back("and more");
  }
  return base::join(told, ", ");
}

std::optional<double> value_of(const RouterScores& scores, std::size_t summary) {
  switch (summary) {
    case kAverage:
      return scores.average;
    case kForward:
      return scores.forward;
    case kBackward:
      return scores.backward;
    default:
      return scores.forgetting;
  }
}

Estimate estimate_of(const std::vector<double>& values) {
  Estimate estimate;
  if (values.empty()) {
    return estimate;
  }
  double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  estimate.mean = sum / static_cast<double>(values.size());
  if (values.size() > 1) {
    double squares = 0;
    for (const double value : values) {
      squares += (value - *estimate.mean) * (value - *estimate.mean);
    }
    estimate.spread = std::sqrt(squares / static_cast<double>(values.size() - 1));
  }
  return estimate;
}

/// What a query of the task at `place` adds to a summary of one run; forgetting is no sum over
/// queries and has none.
double query_adds(const Query& query, std::size_t place, std::size_t summary) {
  const std::size_t num_tasks = query.stage_scores.size() - 1;
  const auto others = static_cast<double>(num_tasks - 1);
  const double last = query.stage_scores.back();
  if (summary == kAverage) {
    return last / static_cast<double>(num_tasks);
  }
  if (summary == kForward) {
    return place == 0 ? 0 : query.stage_scores[place] / others;
  }
  return place + 1 == num_tasks ? 0 : (last - query.stage_scores[place + 1]) / others;
}

using Value = std::function<double(const Query&, std::size_t place)>;

/// The mean over runs, in the tasks' order of the first of all runs.
Contributions mean_contributions(const Group& group,
                                 const std::vector<std::string>& tasks,
                                 const Value& value) {
  Contributions sums(tasks.size());
  for (const LoadedRun* loaded : group.runs) {
    for (std::size_t task = 0; task < tasks.size(); ++task) {
      const std::size_t place = loaded->task_place(tasks[task]);
      const std::vector<Query>& queries = loaded->queries[place];
      sums[task].resize(queries.size());
      for (std::size_t i = 0; i < queries.size(); ++i) {
        sums[task][i] += value(queries[i], place) / static_cast<double>(group.runs.size());
      }
    }
  }
  return sums;
}

std::string seeds_of(const Group& group) {
  std::vector<std::string> seeds;
  for (const LoadedRun* loaded : group.runs) {
    const std::string seed = fmt::format("{}", loaded->seed);
    if (std::find(seeds.begin(), seeds.end(), seed) == seeds.end()) {
      seeds.push_back(seed);
    }
  }
  return base::join(seeds, ", ");
}

void add_interval(HeadlineRow& row, std::size_t summary) {
  row.values[summary].interval =
      bootstrap(row.contributions[summary],
                base::seed_for(kBootstrapSeed, {"report", "value", summary_facts()[summary].name}));
}

/// One router of a group; nothing where not every run has it.
std::optional<HeadlineRow> router_row(const Group& group,
                                      std::size_t place,
                                      const std::vector<std::string>& tasks) {
  HeadlineRow row;
  row.label = group.label;
  row.router = group.runs.front()->routers[place].router;
  row.seeds = seeds_of(group);
  row.num_runs = group.runs.size();
  row.is_told_the_task = row.router == kOracle;
  row.is_one_of_several_routers = group.runs.front()->routers.size() > 1;
  std::array<std::vector<double>, kNumSummaries> values;
  std::vector<double> accuracies;
  for (const LoadedRun* loaded : group.runs) {
    const auto found =
        std::find_if(loaded->routers.begin(), loaded->routers.end(),
                     [&](const RouterScores& scores) { return scores.router == row.router; });
    if (found == loaded->routers.end()) {
      return std::nullopt;
    }
    for (std::size_t i = 0; i < kNumSummaries; ++i) {
      if (const auto value = value_of(*found, i)) {
        values[i].push_back(*value);
      }
    }
    if (found->routing_accuracy) {
      accuracies.push_back(*found->routing_accuracy);
    }
  }
  row.routing_accuracy = estimate_of(accuracies).mean;
  for (std::size_t i = 0; i < kNumSummaries; ++i) {
    row.values[i] = estimate_of(values[i]);
    if (place == 0 && row.values[i].mean && i != kForgetting) {
      row.contributions[i] = mean_contributions(
          group, tasks,
          [&](const Query& query, std::size_t task) { return query_adds(query, task, i); });
      add_interval(row, i);
    }
  }
  return row;
}

HeadlineRow reference_row(const Group& group,
                          const std::string& label,
                          const std::vector<std::string>& tasks,
                          const Value& score) {
  HeadlineRow row;
  row.label = label;
  row.is_reference = true;
  row.seeds = seeds_of(group);
  row.num_runs = group.runs.size();
  row.contributions[kAverage] =
      mean_contributions(group, tasks, [&](const Query& query, std::size_t task) {
        return score(query, task) / static_cast<double>(tasks.size());
      });
  row.values[kAverage].mean = statistic(row.contributions[kAverage]);
  add_interval(row, kAverage);
  return row;
}

void add_oracle(std::vector<HeadlineRow>& rows,
                const Group& group,
                const std::vector<std::string>& tasks) {
  for (const LoadedRun* loaded : group.runs) {
    for (const std::vector<Query>& queries : loaded->queries) {
      for (const Query& query : queries) {
        if (!query.oracle_score) {
          return;
        }
      }
    }
  }
  if (group.runs.front()->routers.front().router == kOracle) {
    return;  // the row of the method itself
  }
  rows.push_back(
      reference_row(group, std::string(kOracle) + " of " + group.label, tasks,
                    [](const Query& query, std::size_t) { return *query.oracle_score; }));
  rows.back().is_told_the_task = true;
}

}  // namespace

const std::array<SummaryFacts, kNumSummaries>& summary_facts() {
  static const std::array<SummaryFacts, kNumSummaries> kFacts = {{
      {"AR", "mean over j of a[T][j]"},
      {"FWT", "mean over j > 1 of a[j-1][j]"},
      {"BWT", "mean over j < T of (a[T][j] - a[j][j])"},
      {"forgetting", "mean over j < T of (max over j <= i < T of a[i][j], minus a[T][j])"},
  }};
  return kFacts;
}

std::string settings_key(const LoadedRun& loaded) {
  std::string key =
      loaded.method + "\n" + loaded.routers.front().router + "\n" + loaded.base_description + "\n";
  for (const auto& [name, value] : loaded.record.config) {
    if (!is_apart_from_settings(name)) {
      key += name + "=" + value + "\n";
    }
  }
  return key;
}

std::vector<Group> group_runs(const std::vector<LoadedRun>& runs) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> places;
  for (const LoadedRun& loaded : runs) {
    const auto [found, is_new] = places.emplace(settings_key(loaded), groups.size());
    if (is_new) {
      groups.push_back({loaded.method, {}});
    }
    groups[found->second].runs.push_back(&loaded);
  }
  for (Group& group : groups) {
    std::vector<const LoadedRun*> same_method;
    for (const Group& other : groups) {
      if (other.runs.front()->method == group.runs.front()->method) {
        same_method.push_back(other.runs.front());
      }
    }
    const std::string told = telling_settings(*group.runs.front(), same_method);
    group.label += told.empty() ? "" : " (" + told + ")";
  }
  return groups;
}

std::vector<HeadlineRow> headline_rows(const std::vector<LoadedRun>& runs) {
  const std::vector<std::string>& tasks = runs.front().tasks;
  const std::vector<Group> groups = group_runs(runs);
  std::vector<HeadlineRow> rows;
  for (const Group& group : groups) {
    for (std::size_t place = 0; place < group.runs.front()->routers.size(); ++place) {
      if (auto row = router_row(group, place, tasks)) {
        rows.push_back(std::move(*row));
      }
    }
  }
  for (const Group& group : groups) {
    add_oracle(rows, group, tasks);
  }
  std::map<std::string, Group> bases;  // one row a base model
  for (const LoadedRun& loaded : runs) {
    bases.try_emplace(loaded.base_description, Group{"", {&loaded}});
  }
  for (const auto& [description, group] : bases) {
    rows.push_back(
        reference_row(group, bases.size() == 1 ? "base alone" : "base alone: " + description, tasks,
                      [](const Query& query, std::size_t) { return query.base_score; }));
    rows.back().seeds = "-";
    rows.back().num_runs = 0;
  }
  return rows;
}

std::string full_label(const HeadlineRow& row) {
  return row.is_one_of_several_routers ? row.label + ", router " + row.router : row.label;
}

}  // namespace baton::report
