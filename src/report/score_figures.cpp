// Score matrices, routing, losses.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "baton/report/figures.hpp"
#include "baton/report/svg.hpp"

namespace baton::report {
namespace {

constexpr std::size_t kMostPoints = 300;

std::string stage_name(const LoadedRun& loaded, std::size_t stage) {
  return stage == 0 ? "0 base" : fmt::format("{} +{}", stage, loaded.tasks[stage - 1]);
}

Figure matrix_figure(const LoadedRun& loaded, const RouterScores& scores, const std::string& id) {
  Figure figure;
  figure.heading = "Score matrix, router " + scores.router;
  HeatMap map;
  map.text = {
      id, figure.heading + " of " + loaded.name,
      "Rows: stages, from the base alone to all tasks learnt. Columns: tasks. Cells: scores, "
      "darker or, on a dark page, lighter is higher. The numbers are in the table below."};
  map.row_axis = "stage";
  map.column_axis = "task";
  map.column_labels = loaded.tasks;
  figure.numbers = {.slug = "matrix", .title = figure.heading, .run = loaded.name};
  figure.numbers.header = {"router", "stage"};
  figure.numbers.header.insert(figure.numbers.header.end(), loaded.tasks.begin(),
                               loaded.tasks.end());
  map.values = scores.matrix;
  map.high = 100;
  for (std::size_t stage = 0; stage < scores.matrix.size(); ++stage) {
    map.row_labels.push_back(stage_name(loaded, stage));
    std::vector<Cell> cells = {scores.router, stage_name(loaded, stage)};
    std::vector<std::string> shown;
    for (const double value : scores.matrix[stage]) {
      map.low = std::min(map.low, value);
      map.high = std::max(map.high, value);
      shown.push_back(fmt::format("{:.1f}", value));
      cells.push_back(number_cell(value));
    }
    map.shown.push_back(std::move(shown));
    figure.numbers.rows.push_back(std::move(cells));
  }
  figure.svg = heat_map(map);
  return figure;
}

Figure routing_figure(const LoadedRun& loaded, const RouterScores& scores, const std::string& id) {
  Figure figure;
  figure.heading = "Who answered, router " + scores.router;
  HeatMap map;
  map.text = {
      id, figure.heading + " of " + loaded.name,
      "Rows: the true task. Columns: the expert that answered after the last stage, the base "
      "last. Cells: queries. The numbers are in the table below."};
  map.row_axis = "true task";
  map.column_axis = "answered by";
  map.row_labels = loaded.tasks;
  map.column_labels = loaded.tasks;
  map.column_labels.emplace_back("base");
  figure.numbers = {.slug = "routing", .title = figure.heading, .run = loaded.name};
  figure.numbers.header = {"router", "true task"};
  for (const std::string& name : map.column_labels) {
    figure.numbers.header.push_back("by " + name);
  }
  for (std::size_t task = 0; task < scores.routing.size(); ++task) {
    std::vector<Cell> cells = {scores.router, loaded.tasks[task]};
    std::vector<double> values;
    std::vector<std::string> shown;
    for (const std::int64_t count : scores.routing[task]) {
      values.push_back(static_cast<double>(count));
      map.high = std::max(map.high, values.back());
      shown.push_back(fmt::format("{}", count));
      cells.push_back(count_cell(count));
    }
    map.values.push_back(std::move(values));
    map.shown.push_back(std::move(shown));
    figure.numbers.rows.push_back(std::move(cells));
  }
  figure.svg = heat_map(map);
  return figure;
}

/// Every n-th point and the last one.
std::vector<LossPoint> thinned(const std::vector<LossPoint>& points, std::size_t step) {
  std::vector<LossPoint> kept;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i % step == 0 || i + 1 == points.size()) {
      kept.push_back(points[i]);
    }
  }
  return kept;
}

}  // namespace

std::vector<Figure> score_figures(const LoadedRun& loaded, const std::string& id) {
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < loaded.routers.size(); ++i) {
    const RouterScores& scores = loaded.routers[i];
    figures.push_back(matrix_figure(loaded, scores, fmt::format("{}-matrix{}", id, i)));
    if (!scores.routing.empty()) {
      figures.push_back(routing_figure(loaded, scores, fmt::format("{}-routing{}", id, i)));
    }
  }
  return figures;
}

namespace {

// What of one learner stands at a step.
struct LossRow {
  std::optional<double> loss, validation;
};

std::map<std::int64_t, LossRow> loss_rows(const ExpertFacts& expert, std::size_t step) {
  std::map<std::int64_t, LossRow> rows;
  for (const LossPoint& point : thinned(expert.losses, step)) {
    rows[point.step].loss = point.loss;
  }
  for (const LossPoint& point : expert.validation_losses) {
    rows[point.step].validation = point.loss;
  }
  return rows;
}

void append_points(const std::map<std::int64_t, LossRow>& rows,
                   std::optional<double> LossRow::*loss,
                   Series series,
                   LineChart& chart) {
  for (const auto& [step, row] : rows) {
    if (row.*loss) {
      series.points.emplace_back(static_cast<double>(step), *(row.*loss));
    }
  }
  if (!series.points.empty()) {
    chart.series.push_back(std::move(series));
  }
}

}  // namespace

std::vector<Figure> loss_figures(const LoadedRun& loaded, const std::string& id) {
  std::size_t step = 1;
  bool is_validated = false;
  for (const ExpertFacts& expert : loaded.experts) {
    step = std::max(step, (expert.losses.size() + kMostPoints - 1) / kMostPoints);
    is_validated = is_validated || !expert.validation_losses.empty();
  }
  Figure figure;
  figure.heading = is_validated ? "Training and validation loss" : "Training loss";
  LineChart chart;
  chart.text = {id + "-loss", figure.heading + " of " + loaded.name,
                is_validated
                    ? "Two lines a learner: loss against step, and with dots the loss on rows held "
                      "out of its training. The numbers are in the table below."
                    : "One line a learner: loss against step. The numbers are in the table below."};
  chart.x_label = "step";
  chart.y_label = "loss";
  figure.numbers = {.slug = "loss", .title = figure.heading, .run = loaded.name};
  figure.numbers.header = {"expert", "step", "loss"};
  if (is_validated) {
    figure.numbers.header.push_back("validation loss");
  }
  figure.numbers.is_points = true;
  for (const ExpertFacts& expert : loaded.experts) {
    const std::map<std::int64_t, LossRow> rows = loss_rows(expert, step);
    for (const auto& [at, row] : rows) {
      std::vector<Cell>& cells = figure.numbers.rows.emplace_back(
          std::vector<Cell>{expert.task, count_cell(at), number_cell(row.loss, 4)});
      if (is_validated) {
        cells.push_back(number_cell(row.validation, 4));
      }
    }
    append_points(rows, &LossRow::loss, {expert.task, {}}, chart);
    append_points(rows, &LossRow::validation, {expert.task + ", held out", {}, true}, chart);
  }
  if (chart.series.empty()) {
    return {};
  }
  if (step > 1) {
    figure.numbers.note = fmt::format("Chart and table hold every {}. logged step.", step);
  }
  figure.svg = line_chart(chart);
  return {std::move(figure)};
}

}  // namespace baton::report
