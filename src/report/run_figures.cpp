// What it took and what it was: averages, cost, time, settings, versions.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "baton/base/text.hpp"
#include "baton/report/figures.hpp"
#include "baton/report/svg.hpp"

namespace baton::report {
namespace {

std::vector<std::string> names_of(const std::vector<LoadedRun>& runs) {
  std::vector<std::string> names;
  for (const LoadedRun& loaded : runs) {
    names.push_back(loaded.name);
  }
  return names;
}

/// A row of what every run says to one question.
template <typename Say>
std::vector<Cell> row_of(const std::string& what, const std::vector<LoadedRun>& runs, Say say) {
  std::vector<Cell> cells = {what};
  for (const LoadedRun& loaded : runs) {
    cells.emplace_back(say(loaded));
  }
  return cells;
}

bool is_same_in_all(const std::vector<Cell>& row) {
  return std::all_of(row.begin() + 1, row.end(),
                     [&](const Cell& cell) { return cell.text == row[1].text; });
}

/// A file of the run that took time.
struct Work {
  std::string what;
  run::MadeBy by;
};

std::vector<Work> works_of(const LoadedRun& loaded) {
  std::vector<Work> works;
  for (const ExpertFacts& expert : loaded.experts) {
    if (expert.made_by) {
      works.push_back({expert.task, *expert.made_by});
    }
  }
  return works;
}

Table time_table(const LoadedRun& loaded) {
  Table table{.slug = "timeline", .title = "Who trained what when", .run = loaded.name};
  table.header = {"expert", "finished (UTC)", "seconds", "ranks", "threads a rank", "host"};
  for (const Work& work : works_of(loaded)) {
    const bool is_known = utc_seconds(work.by.time).has_value();
    table.rows.push_back(
        {work.what, is_known ? work.by.time : "not recorded",
         work.by.seconds > 0 ? number_cell(work.by.seconds, 1) : Cell("not recorded"),
         count_cell(work.by.num_ranks), count_cell(work.by.threads_per_rank), work.by.host});
  }
  table.note =
      "A start is the recorded end minus the recorded seconds of the last attempt. Which group "
      "of ranks it was is not recorded; what overlaps was trained by different groups.";
  return table;
}

}  // namespace

std::optional<double> utc_seconds(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  char end = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d%c", &year, &month, &day, &hour, &minute,
                  &second, &end) != 7 ||
      end != 'Z') {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

Figure average_figure(const std::vector<HeadlineRow>& rows) {
  Figure figure;
  figure.heading = "AR, with 95 % intervals over queries";
  BarChart chart;
  chart.text = {"headline-ar", figure.heading,
                "One bar a row of the headline; hatched bars are bounds and the base alone. The "
                "numbers are in the table below."};
  chart.unit = "AR: mean score over all tasks after the last stage";
  figure.numbers = {.slug = "averages", .title = figure.heading};
  figure.numbers.header = {"row", "AR", "low", "high"};
  figure.numbers.is_points = true;
  for (const HeadlineRow& row : rows) {
    const Estimate& estimate = row.values[kAverage];
    Bar bar{full_label(row), estimate.mean.value_or(0)};
    bar.is_reference = row.is_reference || row.is_told_the_task;
    if (estimate.interval) {
      bar.interval = {estimate.interval->low, estimate.interval->high};
    }
    figure.numbers.rows.push_back(
        {full_label(row), number_cell(estimate.mean),
         number_cell(estimate.interval ? std::optional(estimate.interval->low) : std::nullopt),
         number_cell(estimate.interval ? std::optional(estimate.interval->high) : std::nullopt)});
    chart.bars.push_back(std::move(bar));
  }
  figure.svg = bar_chart(chart);
  return figure;
}

std::vector<double> asked_by_stage(const LoadedRun& loaded) {
  const std::size_t num_tasks = loaded.tasks.size();
  std::vector<double> asked(num_tasks);
  double num_queries = 0;
  for (const std::vector<Query>& queries : loaded.queries) {
    num_queries += static_cast<double>(queries.size());
    for (const Query& query : queries) {
      for (std::size_t stage = 1; stage <= num_tasks; ++stage) {
        const int who = query.answered_by[stage];
        const auto place = static_cast<double>(stage);
        if (who == kTogetherAnswers) {
          return {};  // nobody was asked
        }
        asked[stage - 1] += who == kBaseAnswers ? place : place - who;
      }
    }
  }
  for (double& sum : asked) {
    sum /= num_queries;
  }
  const bool fits = std::abs(asked.back() - loaded.routers.front().experts_asked) < 1e-6;
  return fits ? asked : std::vector<double>();
}

std::vector<Figure> cost_figures(const std::vector<LoadedRun>& runs) {
  Figure costs;
  costs.numbers = {.slug = "cost", .title = "Cost of a query after the last stage"};
  costs.numbers.header = {"run",
                          "router",
                          "experts asked",
                          "prompt tokens read",
                          "tokens decoded",
                          "seconds a query, all ranks"};
  Figure growth;
  growth.heading = "Experts asked for a query, by number of experts";
  LineChart chart;
  chart.text = {"cost-asked", growth.heading,
                "One line a run: the mean number of experts asked against the number of experts in "
                "the chain. The numbers are in the table below."};
  chart.x_label = "experts in the chain";
  chart.y_label = "experts asked";
  chart.has_dots = true;
  growth.numbers = {.slug = "asked", .title = growth.heading};
  growth.numbers.header = {"run", "experts", "experts asked"};
  growth.numbers.is_points = true;
  for (const LoadedRun& loaded : runs) {
    for (const RouterScores& scores : loaded.routers) {
      const bool is_own = &scores == &loaded.routers.front();
      costs.numbers.rows.push_back(
          {loaded.name, scores.router, number_cell(scores.experts_asked),
           number_cell(scores.prompt_tokens, 1), number_cell(scores.new_tokens, 1),
           number_cell(is_own ? loaded.seconds_per_query : std::nullopt, 3)});
    }
    const std::vector<double> asked = asked_by_stage(loaded);
    Series series{loaded.name, {}};
    for (std::size_t i = 0; i < asked.size(); ++i) {
      series.points.emplace_back(static_cast<double>(i + 1), asked[i]);
      growth.numbers.rows.push_back(
          {loaded.name, count_cell(static_cast<std::int64_t>(i + 1)), number_cell(asked[i])});
    }
    if (!asked.empty()) {
      chart.series.push_back(std::move(series));
    }
  }
  costs.numbers.note =
      "Seconds: of the evaluation's last call, which answers for all stages and experts at once, "
      "as recorded in timings.json; machines are named below. Tokens at earlier stages are not "
      "recorded.";
  std::vector<Figure> figures = {costs};
  if (!chart.series.empty()) {
    growth.svg = line_chart(chart);
    figures.push_back(std::move(growth));
  }
  return figures;
}

std::vector<Figure> time_figures(const LoadedRun& loaded, const std::string& id) {
  Figure figure;
  figure.heading = "Who trained what when";
  figure.numbers = time_table(loaded);
  if (figure.numbers.rows.empty()) {
    return {};
  }
  TimeLine chart;
  chart.text = {id + "-time", figure.heading + " in " + loaded.name,
                "One bar an expert, from start to end; bars that overlap in time lie below one "
                "another. The numbers are in the table below."};
  for (const Work& work : works_of(loaded)) {
    const std::optional<double> end = utc_seconds(work.by.time);
    if (end && work.by.seconds > 0) {
      chart.spans.push_back({fmt::format("{} ({} {}, {})", work.what, work.by.num_ranks,
                                         work.by.num_ranks == 1 ? "rank" : "ranks", work.by.host),
                             *end - work.by.seconds, *end});
    }
  }
  if (!chart.spans.empty()) {
    figure.svg = time_line(chart);
  }
  return {std::move(figure)};
}

Table settings_table(const std::vector<LoadedRun>& runs) {
  Table table{.slug = "settings", .title = "Settings"};
  table.header = names_of(runs);
  table.header.insert(table.header.begin(), "key");
  std::set<std::string> keys;
  for (const LoadedRun& loaded : runs) {
    for (const auto& [key, value] : loaded.record.config) {
      keys.insert(key);
    }
  }
  std::vector<std::vector<Cell>> same;
  for (const std::string& key : keys) {
    auto row = row_of(key, runs, [&](const LoadedRun& loaded) {
      const auto found = loaded.record.config.find(key);
      return found == loaded.record.config.end() ? "not recorded" : found->second;
    });
    (is_same_in_all(row) ? same : table.rows).push_back(std::move(row));
  }
  table.rows.insert(table.rows.end(), same.begin(), same.end());
  table.note = runs.size() > 1 ? "Those that differ come first." : "";
  return table;
}

Table versions_table(const std::vector<LoadedRun>& runs) {
  Table table{.slug = "versions", .title = "Runs, seeds and versions"};
  table.header = names_of(runs);
  table.header.insert(table.header.begin(), "what");
  const auto of_maker = [&](const std::string& what, auto say) {
    table.rows.push_back(row_of(what, runs, [&](const LoadedRun& loaded) {
      return loaded.evaluated_by ? say(*loaded.evaluated_by) : std::string("not recorded");
    }));
  };
  table.rows.push_back(
      row_of("seed", runs, [](const LoadedRun& loaded) { return fmt::format("{}", loaded.seed); }));
  table.rows.push_back(row_of(
      "task order", runs, [](const LoadedRun& loaded) { return base::join(loaded.tasks, ", "); }));
  table.rows.push_back(
      row_of("base model", runs, [](const LoadedRun& loaded) { return loaded.base_description; }));
  table.rows.push_back(
      row_of("scorer", runs, [](const LoadedRun& loaded) { return loaded.metric; }));
  of_maker("evaluated (UTC)", [](const run::MadeBy& by) { return by.time; });
  of_maker("host", [](const run::MadeBy& by) { return by.host; });
  of_maker("ranks", [](const run::MadeBy& by) { return fmt::format("{}", by.num_ranks); });
  of_maker("instruction set", [](const run::MadeBy& by) { return by.instruction_set; });
  std::set<std::string> libraries;
  for (const LoadedRun& loaded : runs) {
    if (loaded.evaluated_by) {
      for (const auto& [name, version] : loaded.evaluated_by->libraries) {
        libraries.insert(name);
      }
    }
  }
  for (const std::string& name : libraries) {
    of_maker(name, [&](const run::MadeBy& by) {
      const auto found = by.libraries.find(name);
      return found == by.libraries.end() ? std::string("not recorded") : found->second;
    });
  }
  table.rows.push_back(row_of("remarks", runs, [](const LoadedRun& loaded) {
    std::vector<std::string> all = loaded.record.warnings;
    all.insert(all.end(), loaded.remarks.begin(), loaded.remarks.end());
    return all.empty() ? std::string("-") : base::join(all, "; ");
  }));
  return table;
}

}  // namespace baton::report
