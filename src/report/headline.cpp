// The headline: its tables and the sentences above them.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "baton/base/seed.hpp"
#include "baton/base/text.hpp"
#include "baton/report/groups.hpp"

namespace baton::report {
namespace {

constexpr std::uint64_t kBootstrapSeed = 1;

std::string range_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.2f} to {:.2f}", interval->low, interval->high) : "-";
}

Cell spread_cell(const Estimate& estimate) {
  return number_cell(estimate.spread);
}

bool has_several_runs(const std::vector<HeadlineRow>& rows) {
  return std::any_of(rows.begin(), rows.end(),
                     [](const HeadlineRow& row) { return row.num_runs > 1; });
}

std::optional<Interval> difference_of(const HeadlineRow& a,
                                      const HeadlineRow& b,
                                      std::size_t summary) {
  const Contributions& left = a.contributions[summary];
  const Contributions& right = b.contributions[summary];
  if (left.empty() || right.empty()) {
    return std::nullopt;
  }
  return bootstrap(
      difference(left, right),
      base::seed_for(kBootstrapSeed, {"report", "difference", summary_facts()[summary].name}));
}

std::string runs_text(const HeadlineRow& row) {
  return row.num_runs > 1 ? fmt::format(" (mean of {} runs, spread {:.2f})", row.num_runs,
                                        row.values[kAverage].spread.value_or(0))
                          : "";
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("95 % interval {:+.2f} to {:+.2f} over queries", interval->low,
                                interval->high)
                  : "no interval: only the run's own router is recorded query by query";
}

double average(const HeadlineRow& row) {
  return row.values[kAverage].mean.value_or(0);
}

/// "A is ahead of B by ...", with what the interval leaves open.
std::string comparison(const HeadlineRow& best, const HeadlineRow& second) {
  const double by = average(best) - average(second);
  const std::optional<Interval> interval = difference_of(best, second, kAverage);
  if (std::abs(by) < 0.005) {
    return fmt::format("{} and {} are level: AR {:.2f} and {:.2f} ({}).", full_label(best),
                       full_label(second), average(best), average(second), interval_text(interval));
  }
  const bool is_open = interval && interval->low <= 0 && interval->high >= 0;
  return fmt::format("{} {} {} by {:.2f}: AR {:.2f}{} against {:.2f}{}; {}{}.", full_label(best),
                     is_open ? "is ahead of" : "wins over", full_label(second), by, average(best),
                     runs_text(best), average(second), runs_text(second), interval_text(interval),
                     is_open ? ", which holds 0: these queries do not settle it" : "");
}

}  // namespace

Table headline_table(const std::vector<HeadlineRow>& rows) {
  Table table;
  table.slug = "headline";
  table.title = "Headline";
  const bool has_spread = has_several_runs(rows);
  table.header = {"method", "router", "seeds", "runs"};
  for (const SummaryFacts& summary : summary_facts()) {
    table.header.push_back(summary.name);
    if (has_spread) {
      table.header.push_back(std::string(summary.name) + " spread");
    }
  }
  table.header.insert(table.header.begin() + 5 + (has_spread ? 1 : 0), "AR 95 % interval");
  table.header.push_back("routing accuracy");
  for (const HeadlineRow& row : rows) {
    std::vector<Cell> cells = {
        row.label, row.router.empty() ? "-" : row.router, row.seeds,
        row.num_runs == 0 ? Cell("-") : count_cell(static_cast<std::int64_t>(row.num_runs))};
    for (std::size_t i = 0; i < kNumSummaries; ++i) {
      cells.push_back(number_cell(row.values[i].mean));
      if (has_spread) {
        cells.push_back(spread_cell(row.values[i]));
      }
      if (i == kAverage) {
        cells.emplace_back(range_text(row.values[i].interval));
      }
    }
    cells.push_back(number_cell(row.routing_accuracy, 3));
    table.rows.push_back(std::move(cells));
  }
  for (const SummaryFacts& summary : summary_facts()) {
    table.note += fmt::format("{}: {}. ", summary.name, summary.formula);
  }
  table.note +=
      "a[i][j]: score on task j (from 1) after the first i tasks; row 0 is the base. Higher is "
      "better, but of forgetting lower. ";
  table.note += fmt::format(
      "Intervals: percentile bootstrap over queries within each task, {} resamples, seed {}"
      "{}. A row that is told the true task is a bound, no competitor.",
      kResamples, kBootstrapSeed,
      has_spread ? "; spread: sample standard deviation over runs, which the intervals do not hold"
                 : "");
  return table;
}

Table difference_table(const std::vector<HeadlineRow>& rows) {
  Table table;
  table.slug = "differences";
  const HeadlineRow& first = rows.front();
  table.title = "Differences to " + full_label(first);
  table.header = {"method", "router"};
  for (const std::size_t i : {kAverage, kForward, kBackward}) {
    table.header.push_back(summary_facts()[i].name);
    table.header.push_back(std::string(summary_facts()[i].name) + " 95 % interval");
  }
  for (std::size_t k = 1; k < rows.size(); ++k) {
    const HeadlineRow& row = rows[k];
    std::vector<Cell> cells = {row.label, row.router.empty() ? "-" : row.router};
    for (const std::size_t i : {kAverage, kForward, kBackward}) {
      const auto& mine = row.values[i].mean;
      const auto& theirs = first.values[i].mean;
      cells.push_back(mine && theirs ? signed_cell(*mine - *theirs) : Cell("-"));
      const auto interval = difference_of(row, first, i);
      cells.emplace_back(interval ? fmt::format("{:+.2f} to {:+.2f}", interval->low, interval->high)
                                  : "-");
    }
    table.rows.push_back(std::move(cells));
  }
  table.note = fmt::format(
      "Row minus {}: paired bootstrap over queries, {} resamples, seed {}; several runs of a "
      "method count by their mean at each query. A dash: not recorded query by query, or no such "
      "number for this method.",
      full_label(first), kResamples, kBootstrapSeed);
  return table;
}

std::vector<std::string> verdict(const std::vector<HeadlineRow>& rows) {
  std::vector<const HeadlineRow*> ranked;
  std::vector<const HeadlineRow*> told;
  const HeadlineRow* base = nullptr;
  for (const HeadlineRow& row : rows) {
    if (row.is_told_the_task) {
      told.push_back(&row);
    } else if (row.is_reference) {
      base = base == nullptr ? &row : base;
    } else {
      ranked.push_back(&row);
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const HeadlineRow* a, const HeadlineRow* b) {
    return average(*a) > average(*b);
  });
  std::vector<std::string> sentences;
  if (ranked.size() > 1) {
    sentences.push_back(comparison(*ranked[0], *ranked[1]));
  }
  const auto first_named = std::find(ranked.begin(), ranked.end(), &rows.front());
  if (first_named - ranked.begin() > 1 && first_named != ranked.end()) {
    sentences.push_back(fmt::format("{}, the first named, has rank {} of {}.",
                                    full_label(rows.front()), first_named - ranked.begin() + 1,
                                    ranked.size()));
  }
  const HeadlineRow& best = ranked.empty() ? rows.front() : *ranked.front();
  if (base != nullptr) {
    const bool is_ahead = average(best) >= average(*base);
    sentences.push_back(is_ahead ? comparison(best, *base) : comparison(*base, best));
  }
  for (const HeadlineRow* row : told) {
    sentences.push_back(
        fmt::format("Told the true task, {} reaches AR {:.2f}.", full_label(*row), average(*row)));
  }
  return sentences;
}

}  // namespace baton::report
