#pragma once
// What all charts share: the opening tag with title and description, and texts.

#include <fmt/format.h>

#include <string>

#include "baton/report/svg.hpp"
#include "baton/report/table.hpp"

namespace baton::report {

inline constexpr double kChartWidth = 340;
inline constexpr int kNumSeriesStyles = 8;

inline std::string open_svg(const ChartText& text, double width, double height) {
  return fmt::format(
      "<svg role=\"img\" aria-labelledby=\"{0}-t {0}-d\" "
      "width=\"{1:.0f}\" height=\"{2:.0f}\" viewBox=\"0 0 {1:.0f} {2:.0f}\">"
      "<title id=\"{0}-t\">{3}</title><desc id=\"{0}-d\">{4}</desc>\n",
      text.id, width, height, escape_html(text.title), escape_html(text.description));
}

/// anchor: start, middle or end.
inline std::string svg_text(
    double x, double y, const std::string& text, const char* anchor, const std::string& css = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, css.empty() ? "" : " class=\"" + css + "\"", escape_html(text));
}

inline std::string svg_line(double x1, double y1, double x2, double y2, const std::string& css) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2,
      y2, css);
}

inline std::string svg_rect(
    double x, double y, double width, double height, const std::string& css) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"/>\n", x, y,
      width, height, css);
}

/// At most `most` characters, the rest as "…"; whole code points.
std::string shortened(const std::string& text, std::size_t most);

}  // namespace baton::report
