// What training cost in general ability, and how many foreign queries a chain leaves to the base.

#include <fmt/format.h>

#include "baton/report/figures.hpp"
#include "baton/report/svg.hpp"

namespace baton::report {
namespace {

Table ability_table(const std::vector<LoadedRun>& runs) {
  Table table{.slug = "general-ability", .title = "Multiple choice questions of no task"};
  table.header = {"run",   "questions",  "number",         "base",
                  "chain", "difference", "standard error", "left to the base"};
  for (const LoadedRun& loaded : runs) {
    for (const QuestionScores& set : loaded.questions) {
      table.rows.push_back(
          {loaded.name, set.name, count_cell(set.num_questions), number_cell(set.base, 1),
           number_cell(set.chain, 1), signed_cell(set.chain - set.base, 1),
           number_cell(set.difference_error, 1), number_cell(set.left_to_base, 3)});
    }
  }
  table.note =
      "Accuracy of the likeliest choice (log likelihood, summed over tokens); chain: after the "
      "last "
      "stage; the standard error is that of the difference, paired by question.";
  return table;
}

Figure curve_figure(const std::vector<LoadedRun>& runs) {
  Figure figure;
  figure.heading = "Own queries against foreign questions";
  LineChart chart;
  chart.text = {
      "foreign-roc", figure.heading,
      "One line a run: share of own queries accepted against share of foreign questions "
      "accepted, over thresholds on the largest margin above an expert's own. The numbers "
      "are in the table below."};
  chart.x_label = "foreign questions accepted";
  chart.y_label = "own queries accepted";
  chart.x_range = chart.y_range = {0.0, 1.0};
  figure.numbers = {.slug = "foreign-roc", .title = figure.heading};
  figure.numbers.header = {"run", "threshold", "own queries accepted",
                           "foreign questions accepted"};
  figure.numbers.is_points = true;
  for (const LoadedRun& loaded : runs) {
    if (loaded.foreign_curve.empty()) {
      continue;
    }
    Series series{fmt::format("{} (area {:.3f})", loaded.name, loaded.foreign_area.value_or(0)),
                  {}};
    for (const expert::RocPoint& point : loaded.foreign_curve) {
      series.points.emplace_back(point.false_positive_rate, point.true_positive_rate);
      figure.numbers.rows.push_back({loaded.name, number_cell(point.threshold, 3),
                                     number_cell(point.true_positive_rate, 3),
                                     number_cell(point.false_positive_rate, 3)});
    }
    chart.series.push_back(std::move(series));
  }
  if (!chart.series.empty()) {
    figure.svg = line_chart(chart);
  }
  return figure;
}

}  // namespace

std::vector<Figure> question_figures(const std::vector<LoadedRun>& runs) {
  Figure ability;
  ability.numbers = ability_table(runs);
  if (ability.numbers.rows.empty()) {
    return {};
  }
  std::vector<Figure> figures = {std::move(ability)};
  if (Figure curve = curve_figure(runs); !curve.svg.empty()) {
    figures.push_back(std::move(curve));
  }
  return figures;
}

}  // namespace baton::report
