// Lines and histograms.

#include <algorithm>
#include <cmath>

#include "svg_parts.hpp"

namespace baton::report {
namespace {

constexpr double kLeft = 46;
constexpr double kTop = 10;
constexpr double kPlotHeight = 190;
constexpr double kLegendRow = 18;
constexpr double kPlotWidth = kChartWidth - kLeft - 12;

struct Range {
  double low = 0, high = 1;
};

/// Where a value lies in the plot.
struct Scale {
  Range x, y;
  double px(double value) const { return kLeft + (value - x.low) / (x.high - x.low) * kPlotWidth; }
  double py(double value) const {
    return kTop + kPlotHeight - (value - y.low) / (y.high - y.low) * kPlotHeight;
  }
};

Range range_of(const LineChart& chart, bool of_x) {
  const auto& fixed = of_x ? chart.x_range : chart.y_range;
  if (fixed) {
    return {fixed->first, fixed->second};
  }
  bool is_first = true;
  Range range;
  for (const Series& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      const double value = of_x ? x : y;
      range.low = is_first ? value : std::min(range.low, value);
      range.high = is_first ? value : std::max(range.high, value);
      is_first = false;
    }
  }
  if (!of_x) {
    range.low = std::min(range.low, 0.0);
  }
  return range.high > range.low ? range : Range{range.low, range.low + 1};
}

std::string tick_text(double value) {
  return fmt::format("{:g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::string axes(const Scale& scale, const std::string& x_label, const std::string& y_label) {
  std::string out;
  const double floor = kTop + kPlotHeight;
  for (const double value : ticks(scale.y.low, scale.y.high, 5)) {
    out += svg_line(kLeft, scale.py(value), kLeft + kPlotWidth, scale.py(value), "grid");
    out += svg_text(kLeft - 6, scale.py(value) + 4, tick_text(value), "end", "axis");
  }
  for (const double value : ticks(scale.x.low, scale.x.high, 5)) {
    out += svg_line(scale.px(value), floor, scale.px(value), floor + 4, "axisline");
    out += svg_text(scale.px(value), floor + 16, tick_text(value), "middle", "axis");
  }
  out += svg_line(kLeft, floor, kLeft + kPlotWidth, floor, "axisline");
  out += svg_text(kLeft + kPlotWidth / 2, floor + 32, x_label, "middle", "axis");
  return out + fmt::format(
                   "<text transform=\"translate(11 {:.0f}) rotate(-90)\" "
                   "text-anchor=\"middle\" class=\"axis\">{}</text>\n",
                   kTop + kPlotHeight / 2, escape_html(y_label));
}

std::string curve(const Series& series, const Scale& scale, int style, bool has_dots) {
  std::string points;
  std::string dots;
  for (const auto& [x, y] : series.points) {
    points += fmt::format("{:.1f},{:.1f} ", scale.px(x), scale.py(y));
    if (has_dots || series.points.size() == 1) {
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"d{}\"/>\n",
                          scale.px(x), scale.py(y), style);
    }
  }
  return fmt::format("<polyline points=\"{}\" class=\"s s{}\"/>\n", points, style) + dots;
}

std::string legend(const std::vector<Series>& series, double top) {
  std::string out;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const double x = i % 2 == 0 ? 6 : kChartWidth / 2;
    const double y = top + kLegendRow * static_cast<double>(i / 2) + 12;
    const auto style = i % static_cast<std::size_t>(kNumSeriesStyles);
    out += series[i].points.size() == 1
               ? fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"d{}\"/>\n",
                             x + 14, y - 4, style)
               : svg_line(x, y - 4, x + 28, y - 4, fmt::format("s s{}", style));
    out += fmt::format("<g><title>{}</title>", escape_html(series[i].name)) +
           svg_text(x + 34, y, shortened(series[i].name, 18), "start") + "</g>";
  }
  return out;
}

std::string bars(const Histogram& chart, const Scale& scale, bool is_own) {
  const std::vector<int>& counts = is_own ? chart.own : chart.others;
  const double step = (chart.high - chart.low) / static_cast<double>(counts.size());
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) {
      continue;
    }
    const double left = chart.low + step * static_cast<double>(i);
    const double value = is_own ? counts[i] : -counts[i];
    out += fmt::format("<g><title>{}: {} with a margin of {:.2f} to {:.2f}</title>",
                       is_own ? "own" : "others", counts[i], left, left + step) +
           svg_rect(scale.px(left), std::min(scale.py(value), scale.py(0)),
                    std::max(1.0, scale.px(left + step) - scale.px(left) - 1),
                    std::abs(scale.py(value) - scale.py(0)), is_own ? "own" : "others") +
           "</g>\n";
  }
  return out;
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(count - 1, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.7) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> found;
  for (double value = std::ceil(low / step - 1e-9) * step; value <= high + step * 1e-9;
       value += step) {
    found.push_back(value);
  }
  return found;
}

std::string line_chart(const LineChart& chart) {
  const Scale scale{range_of(chart, true), range_of(chart, false)};
  const double top = kTop + kPlotHeight + 42;
  const double height = top + kLegendRow * std::ceil(static_cast<double>(chart.series.size()) / 2);
  std::string out =
      open_svg(chart.text, kChartWidth, height + 4) + axes(scale, chart.x_label, chart.y_label);
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    out += curve(chart.series[i], scale, static_cast<int>(i) % kNumSeriesStyles,
                 chart.has_dots || chart.series[i].has_dots);
  }
  return out + legend(chart.series, top) + "</svg>\n";
}

std::string histogram(const Histogram& chart) {
  const int up = std::max(1, *std::max_element(chart.own.begin(), chart.own.end()));
  const int down = std::max(1, *std::max_element(chart.others.begin(), chart.others.end()));
  const Scale scale{{chart.low, chart.high}, {-down * 1.15, up * 1.15}};
  const double floor = kTop + kPlotHeight;
  std::string out = open_svg(chart.text, kChartWidth, floor + 40);
  for (const double value : ticks(chart.low, chart.high, 5)) {
    out += svg_line(scale.px(value), floor, scale.px(value), floor + 4, "axisline");
    out += svg_text(scale.px(value), floor + 16, tick_text(value), "middle", "axis");
  }
  out += bars(chart, scale, true) + bars(chart, scale, false);
  out += svg_line(kLeft, scale.py(0), kLeft + kPlotWidth, scale.py(0), "axisline");
  out += svg_line(kLeft, floor, kLeft + kPlotWidth, floor, "axisline");
  const double x = std::clamp(scale.px(chart.threshold), kLeft, kLeft + kPlotWidth);
  out += svg_line(x, kTop, x, floor, "threshold");
  const bool is_right = x > kLeft + kPlotWidth / 2;
  out += svg_text(is_right ? x - 5 : x + 5, kTop + 10,
                  fmt::format("threshold {:.2f}", chart.threshold), is_right ? "end" : "start");
  out += svg_text(kLeft - 5, scale.py(up) + 4, fmt::format("{}", up), "end", "axis");
  out += svg_text(kLeft - 5, scale.py(-down) + 4, fmt::format("{}", down), "end", "axis");
  out += svg_text(2, scale.py(0) - 6, "own", "start", "axis");
  out += svg_text(2, scale.py(0) + 14, "others", "start", "axis");
  return out + svg_text(kLeft + kPlotWidth / 2, floor + 32, chart.x_label, "middle", "axis") +
         "</svg>\n";
}

}  // namespace baton::report
