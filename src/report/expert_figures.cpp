// Margins, thresholds and ROC of the experts of a run.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "baton/report/figures.hpp"
#include "baton/report/svg.hpp"

namespace baton::report {
namespace {

constexpr int kNumBins = 24;

/// An expert's margins on the evaluation's queries, by whose they are.
struct Margins {
  std::vector<double> own, earlier, later, others;
};

Margins margins_of(const LoadedRun& loaded, const ExpertFacts& expert) {
  Margins margins;
  for (std::size_t task = 0; task < loaded.tasks.size(); ++task) {
    for (const Query& query : loaded.queries[task]) {
      const std::optional<double>& margin = query.margins[expert.place];
      if (!margin) {
        continue;
      }
      if (task == expert.place) {
        margins.own.push_back(*margin);
      } else {
        (task < expert.place ? margins.earlier : margins.later).push_back(*margin);
        margins.others.push_back(*margin);
      }
    }
  }
  return margins;
}

std::optional<double> share_above(const std::vector<double>& margins, double threshold) {
  if (margins.empty()) {
    return std::nullopt;
  }
  const auto above = std::count_if(margins.begin(), margins.end(),
                                   [&](double margin) { return margin > threshold; });
  return static_cast<double>(above) / static_cast<double>(margins.size());
}

std::vector<int> counts_of(const std::vector<double>& margins, double low, double high) {
  std::vector<int> counts(kNumBins);
  for (const double margin : margins) {
    const auto bin = static_cast<int>((margin - low) / (high - low) * kNumBins);
    ++counts[static_cast<std::size_t>(std::clamp(bin, 0, kNumBins - 1))];
  }
  return counts;
}

Figure margin_figure(const LoadedRun& loaded,
                     const ExpertFacts& expert,
                     const Margins& margins,
                     const std::string& id) {
  Figure figure;
  figure.heading = "Margins of " + expert.task;
  Histogram chart;
  chart.text = {id, figure.heading + " in " + loaded.name,
                "How many queries have which margin: own queries above the line, those of other "
                "tasks below it; the dashed line is the threshold. The numbers are in the table."};
  chart.x_label = "margin (accept minus pass)";
  chart.threshold = expert.threshold;
  chart.low = chart.high = expert.threshold;
  for (const std::vector<double>* side : {&margins.own, &margins.others}) {
    for (const double margin : *side) {
      chart.low = std::min(chart.low, margin);
      chart.high = std::max(chart.high, margin);
    }
  }
  if (chart.high <= chart.low) {
    chart.high = chart.low + 1;
  }
  chart.own = counts_of(margins.own, chart.low, chart.high);
  chart.others = counts_of(margins.others, chart.low, chart.high);
  figure.numbers = {.slug = "margins", .title = figure.heading, .run = loaded.name};
  figure.numbers.header = {"expert", "from", "to", "own", "others"};
  figure.numbers.is_points = true;
  const double step = (chart.high - chart.low) / kNumBins;
  for (std::size_t i = 0; i < chart.own.size(); ++i) {
    const double from = chart.low + step * static_cast<double>(i);
    figure.numbers.rows.push_back({expert.task, number_cell(from), number_cell(from + step),
                                   count_cell(chart.own[i]), count_cell(chart.others[i])});
  }
  figure.svg = histogram(chart);
  return figure;
}

void add_roc(LineChart& chart,
             Table& numbers,
             const std::string& expert,
             const std::string& rows,
             const std::vector<expert::RocPoint>& roc) {
  if (roc.empty()) {
    return;
  }
  Series series{rows, {}};
  for (const expert::RocPoint& point : roc) {
    series.points.emplace_back(point.false_positive_rate, point.true_positive_rate);
    numbers.rows.push_back({expert, rows, number_cell(point.threshold, 3),
                            number_cell(point.true_positive_rate, 3),
                            number_cell(point.false_positive_rate, 3)});
  }
  chart.series.push_back(std::move(series));
}

Figure roc_figure(const LoadedRun& loaded,
                  const ExpertFacts& expert,
                  const Margins& margins,
                  const std::string& id) {
  Figure figure;
  figure.heading = "ROC of " + expert.task;
  LineChart chart;
  chart.text = {id, figure.heading + " in " + loaded.name,
                "Own queries accepted against others' accepted, over all thresholds: of this "
                "evaluation's queries, and of the rows held out in training where there were any; "
                "then the threshold in use. The numbers are in the table below."};
  chart.x_label = "others accepted";
  chart.y_label = "own accepted";
  chart.x_range = chart.y_range = {0, 1};
  figure.numbers = {.slug = "roc", .title = figure.heading, .run = loaded.name};
  figure.numbers.header = {"expert", "rows", "threshold", "own accepted", "others accepted"};
  figure.numbers.is_points = true;
  add_roc(chart, figure.numbers, expert.task, "evaluation", roc_of(margins.own, margins.others));
  add_roc(chart, figure.numbers, expert.task, "held out", expert.roc);
  const auto own = share_above(margins.own, expert.threshold);
  const auto others = share_above(margins.others, expert.threshold);
  if (own && others) {
    add_roc(chart, figure.numbers, expert.task, "in use", {{expert.threshold, *own, *others}});
  }
  figure.svg = line_chart(chart);
  return figure;
}

}  // namespace

std::vector<expert::RocPoint> roc_of(const std::vector<double>& own,
                                     const std::vector<double>& others) {
  std::vector<double> all = own;
  all.insert(all.end(), others.begin(), others.end());
  if (own.empty() || others.empty()) {
    return {};
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::vector<double> thresholds = {all.front() - 1};
  for (std::size_t i = 1; i < all.size(); ++i) {
    thresholds.push_back(all[i - 1] + (all[i] - all[i - 1]) / 2);
  }
  thresholds.push_back(all.back() + 1);
  std::vector<expert::RocPoint> points;
  for (const double threshold : thresholds) {
    const expert::RocPoint point{threshold, *share_above(own, threshold),
                                 *share_above(others, threshold)};
    const auto same_rates = [&](const expert::RocPoint& other) {
      return other.true_positive_rate == point.true_positive_rate &&
             other.false_positive_rate == point.false_positive_rate;
    };
    if (points.size() >= 2 && point.false_positive_rate == points.back().false_positive_rate &&
        point.false_positive_rate == points[points.size() - 2].false_positive_rate) {
      points.pop_back();  // the middle of a straight piece
    } else if (points.size() >= 2 && point.true_positive_rate == points.back().true_positive_rate &&
               point.true_positive_rate == points[points.size() - 2].true_positive_rate) {
      points.pop_back();
    }
    if (points.empty() || !same_rates(points.back())) {
      points.push_back(point);
    }
  }
  return points;
}

std::vector<Figure> expert_figures(const LoadedRun& loaded, const std::string& id) {
  std::vector<Figure> figures;
  Table table{.slug = "experts", .title = "Experts: who is accepted", .run = loaded.name};
  table.header = {"expert",       "threshold",        "set anew",
                  "own accepted", "earlier accepted", "later (unseen) accepted",
                  "own queries"};
  for (const ExpertFacts& expert : loaded.experts) {
    const Margins margins = margins_of(loaded, expert);
    if (!expert.decides || margins.own.empty()) {
      continue;
    }
    table.rows.push_back({expert.task, number_cell(expert.threshold, 3),
                          expert.was_set_anew ? "yes" : "no",
                          number_cell(share_above(margins.own, expert.threshold), 3),
                          number_cell(share_above(margins.earlier, expert.threshold), 3),
                          number_cell(share_above(margins.later, expert.threshold), 3),
                          count_cell(static_cast<std::int64_t>(margins.own.size()))});
    figures.push_back(
        margin_figure(loaded, expert, margins, fmt::format("{}-margin{}", id, expert.place)));
    figures.push_back(
        roc_figure(loaded, expert, margins, fmt::format("{}-roc{}", id, expert.place)));
  }
  if (table.rows.empty()) {
    return {};
  }
  table.note =
      "Shares of this evaluation's queries with a margin above the threshold, whether or "
      "not the expert was asked.";
  figures.insert(figures.begin(), {table.title, "", table});
  return figures;
}

}  // namespace baton::report
