#pragma once
// Runs side by side: those that differ only in seed or task order are one group, shown as mean and
// spread; every group and router is a row, with intervals over queries. Pure.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "baton/report/bootstrap.hpp"
#include "baton/report/loaded_run.hpp"
#include "baton/report/table.hpp"

namespace baton::report {

/// Everything that makes runs one group: all settings but seed, task order, folder and machines.
std::string settings_key(const LoadedRun& loaded);

/// In the order of the headline's columns.
enum Summary { kAverage, kForward, kBackward, kForgetting };
inline constexpr std::size_t kNumSummaries = 4;
struct SummaryFacts {
  const char* name;
  const char* formula;
};
const std::array<SummaryFacts, kNumSummaries>& summary_facts();

struct Group {
  std::string label;  // the method, with the settings that tell it from others of its method
  std::vector<const LoadedRun*> runs;
};

std::vector<Group> group_runs(const std::vector<LoadedRun>& runs);

struct Estimate {
  std::optional<double> mean;        // over runs
  std::optional<double> spread;      // sample standard deviation over runs; of two and more
  std::optional<Interval> interval;  // over queries, where predictions.jsonl tells
};

struct HeadlineRow {
  std::string label;
  std::string router;
  std::string seeds;
  std::size_t num_runs = 0;
  std::array<Estimate, kNumSummaries> values;
  std::optional<double> routing_accuracy;
  bool is_reference = false;  // oracle and base: rows of a run, no methods of their own
  bool is_told_the_task = false;
  bool is_one_of_several_routers = false;
  /// Of the mean over runs, query by query in the first run's tasks; empty where unknown.
  std::array<Contributions, kNumSummaries> contributions;
};

/// Groups with their routers, then oracles and bases.
std::vector<HeadlineRow> headline_rows(const std::vector<LoadedRun>& runs);

/// The label, with the router where the same runs have several.
std::string full_label(const HeadlineRow& row);

Table headline_table(const std::vector<HeadlineRow>& rows);
/// Every row against the first one.
Table difference_table(const std::vector<HeadlineRow>& rows);
/// Who is ahead and by how much, in sentences; the first says it plainly.
std::vector<std::string> verdict(const std::vector<HeadlineRow>& rows);

}  // namespace baton::report
