// Heat maps, bars and time lines.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "baton/base/text.hpp"
#include "svg_parts.hpp"

namespace baton::report {
namespace {

constexpr int kNumShades = 7;
constexpr double kCellWidth = 52;
constexpr double kCellHeight = 28;
constexpr double kLabelWidth = 104;
constexpr double kBarRow = 44;
constexpr double kLaneHeight = 34;
constexpr double kSlack = 1;  // ends are recorded in whole seconds

std::string heat_head(const HeatMap& map, double top) {
  std::string out =
      svg_text(0, 12, map.row_axis + " \u2193   " + map.column_axis + " \u2192", "start", "axis");
  for (std::size_t column = 0; column < map.column_labels.size(); ++column) {
    const double x = kLabelWidth + (static_cast<double>(column) + 0.5) * kCellWidth;
    out += fmt::format("<g><title>{}</title>", escape_html(map.column_labels[column])) +
           svg_text(x, top - 6, shortened(map.column_labels[column], 7), "middle") + "</g>";
  }
  return out;
}

std::string duration_label(double seconds) {
  return base::format_duration(seconds);
}

}  // namespace

std::string shortened(const std::string& text, std::size_t most) {
  std::size_t characters = 0;
  std::size_t cut = text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) {
      if (characters + 1 == most) {
        cut = i;
      }
      ++characters;
    }
  }
  return characters <= most ? text : text.substr(0, cut) + "\u2026";
}

int shade_of(double value, double low, double high) {
  if (!std::isfinite(value) || high <= low) {
    return 0;
  }
  const double share = std::clamp((value - low) / (high - low), 0.0, 1.0);
  return std::min(kNumShades - 1, static_cast<int>(share * kNumShades));
}

std::string heat_map(const HeatMap& map) {
  const double top = 40;
  const double width = kLabelWidth + kCellWidth * static_cast<double>(map.column_labels.size());
  const double height = top + kCellHeight * static_cast<double>(map.row_labels.size()) + 2;
  std::string out = open_svg(map.text, std::max(width, kChartWidth), height) + heat_head(map, top);
  for (std::size_t row = 0; row < map.row_labels.size(); ++row) {
    const double y = top + kCellHeight * static_cast<double>(row);
    out += fmt::format("<g><title>{}</title>", escape_html(map.row_labels[row])) +
           svg_text(kLabelWidth - 6, y + 18, shortened(map.row_labels[row], 14), "end") + "</g>";
    for (std::size_t column = 0; column < map.values[row].size(); ++column) {
      const double x = kLabelWidth + kCellWidth * static_cast<double>(column);
      const int shade = shade_of(map.values[row][column], map.low, map.high);
      out +=
          fmt::format("<g><title>{}, {}: {}</title>", escape_html(map.row_labels[row]),
                      escape_html(map.column_labels[column]), escape_html(map.shown[row][column])) +
          svg_rect(x + 1, y + 1, kCellWidth - 2, kCellHeight - 2, fmt::format("h{}", shade)) +
          svg_text(x + kCellWidth / 2, y + 18, map.shown[row][column], "middle",
                   fmt::format("t{}", shade)) +
          "</g>\n";
    }
  }
  return out + "</svg>\n";
}

std::string bar_chart(const BarChart& chart) {
  double most = 0;
  double least = 0;
  for (const Bar& bar : chart.bars) {
    most = std::max({most, bar.value, bar.interval ? bar.interval->second : 0.0});
    least = std::min({least, bar.value, bar.interval ? bar.interval->first : 0.0});
  }
  const double scale = (kChartWidth - 64) / std::max(most - least, 1e-9);
  const auto place = [&](double value) { return 4 + (value - least) * scale; };
  const double height = kBarRow * static_cast<double>(chart.bars.size()) + 20;
  std::string out = open_svg(chart.text, kChartWidth, height);
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const Bar& bar = chart.bars[i];
    const double y = kBarRow * static_cast<double>(i);
    out += fmt::format("<g><title>{}: {:.2f}</title>", escape_html(bar.label), bar.value);
    out += svg_text(4, y + 14, shortened(bar.label, 48), "start");
    const double left = std::min(place(0), place(bar.value));
    out += svg_rect(left, y + 20, std::abs(place(bar.value) - place(0)), 14,
                    bar.is_reference ? "bar ref" : "bar");
    double end = std::max(place(bar.value), place(0));
    if (bar.interval) {
      out += svg_line(place(bar.interval->first), y + 27, place(bar.interval->second), y + 27,
                      "whisker");
      for (const double x : {place(bar.interval->first), place(bar.interval->second)}) {
        out += svg_line(x, y + 22, x, y + 32, "whisker");
      }
      end = std::max(end, place(bar.interval->second));
    }
    out += svg_text(end + 6, y + 32, fmt::format("{:.2f}", bar.value), "start", "v") + "</g>\n";
  }
  out += svg_line(place(0), 16, place(0), height - 18, "axisline");
  return out + svg_text(4, height - 4, chart.unit, "start", "axis") + "</svg>\n";
}

std::vector<int> lanes_of(const std::vector<Span>& spans) {
  std::vector<std::size_t> order(spans.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return spans[a].start < spans[b].start; });
  std::vector<int> lanes(spans.size());
  std::vector<double> free_from;
  for (const std::size_t i : order) {
    const auto lane = std::find_if(free_from.begin(), free_from.end(),
                                   [&](double end) { return end <= spans[i].start + kSlack; });
    lanes[i] = static_cast<int>(lane - free_from.begin());
    if (lane == free_from.end()) {
      free_from.push_back(spans[i].end);
    } else {
      *lane = spans[i].end;
    }
  }
  return lanes;
}

std::string time_line(const TimeLine& chart) {
  const std::vector<int> lanes = lanes_of(chart.spans);
  double first = chart.spans.front().start;
  double last = chart.spans.front().end;
  int num_lanes = 1;
  for (std::size_t i = 0; i < chart.spans.size(); ++i) {
    first = std::min(first, chart.spans[i].start);
    last = std::max(last, chart.spans[i].end);
    num_lanes = std::max(num_lanes, lanes[i] + 1);
  }
  const double width = kChartWidth * 2;
  const double scale = (width - 8) / std::max(last - first, 1e-9);
  const double height = kLaneHeight * num_lanes + 24;
  std::string out = open_svg(chart.text, width, height);
  for (std::size_t i = 0; i < chart.spans.size(); ++i) {
    const Span& span = chart.spans[i];
    const double x = 4 + (span.start - first) * scale;
    const double long_enough = std::max(2.0, (span.end - span.start) * scale);
    const double y = kLaneHeight * lanes[i];
    const auto fits = static_cast<std::size_t>(std::max(1.0, (long_enough - 8) / 7));
    out += fmt::format("<g><title>{}: {} from {} after the start</title>", escape_html(span.label),
                       duration_label(span.end - span.start), duration_label(span.start - first)) +
           svg_rect(x, y + 2, long_enough, kLaneHeight - 6, "span");
    if (fits >= 2) {
      out += svg_text(x + 4, y + 20, shortened(span.label, fits), "start", "spantext");
    }
    out += "</g>\n";
  }
  const double floor = kLaneHeight * num_lanes + 2;
  out += svg_line(4, floor, width - 4, floor, "axisline");
  out += svg_text(4, floor + 16, "0 s", "start", "axis");
  return out + svg_text(width - 4, floor + 16, duration_label(last - first), "end", "axis") +
         "</svg>\n";
}

}  // namespace baton::report
