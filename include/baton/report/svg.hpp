#pragma once
// Charts as inline SVG: small functions over plain structs. Each has a title and a description for
// screen readers, colours by class (so that the page's light and dark style decide them), and says
// nothing by colour alone: values are written, series differ in dashes, sides or hatching. `id` must
// be unique on the page. All text is escaped here.

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace baton::report {

struct ChartText {
  std::string id;
  std::string title;
  std::string description;
};

struct HeatMap {
  ChartText text;
  std::string row_axis, column_axis;
  std::vector<std::string> row_labels, column_labels;
  std::vector<std::vector<double>> values;
  std::vector<std::vector<std::string>> shown;  // what a cell says
  double low = 0, high = 1;                     // the scale's ends
};
std::string heat_map(const HeatMap& map);

/// 0 (low) to 6 (high): the cell's shade.
int shade_of(double value, double low, double high);

struct Bar {
  std::string label;
  double value = 0;
  std::optional<std::pair<double, double>> interval = std::nullopt;
  bool is_reference = false;  // hatched
};
struct BarChart {
  ChartText text;
  std::string unit;
  std::vector<Bar> bars;
};
std::string bar_chart(const BarChart& chart);

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool has_dots = false;
};
struct LineChart {
  ChartText text;
  std::string x_label, y_label;
  std::vector<Series> series;
  std::optional<std::pair<double, double>> x_range = std::nullopt, y_range = std::nullopt;
  bool has_dots = false;
};
std::string line_chart(const LineChart& chart);

/// Own above the line, others below it; the threshold is a dashed line.
struct Histogram {
  ChartText text;
  std::string x_label;
  double low = 0, high = 1;  // of all bins together
  std::vector<int> own, others;
  double threshold = 0;
};
std::string histogram(const Histogram& chart);

struct Span {
  std::string label;
  double start = 0, end = 0;  // seconds
};
/// Spans that overlap lie in lanes below one another.
struct TimeLine {
  ChartText text;
  std::vector<Span> spans;
};
std::string time_line(const TimeLine& chart);

/// The first lane of each span in which it overlaps none before it by more than a second.
std::vector<int> lanes_of(const std::vector<Span>& spans);

/// About `count` round numbers that span low to high.
std::vector<double> ticks(double low, double high, int count);

}  // namespace baton::report
