#include "baton/base/narrow.hpp"

#include <algorithm>

#include "baton/base/text.hpp"

namespace baton::base {

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0U) != 0x80U; }));
}

std::vector<std::string> wrap_text(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t begin = 0;
  while (begin < text.size()) {
    // A word ends behind a comma, or with the spaces that follow it.
    std::size_t end = std::min(text.find_first_of(" ,", begin), text.size() - 1) + 1;
    end = std::min(text.find_first_not_of(' ', end), text.size());
    const std::string word(text.substr(begin, end - begin));
    if (!line.empty() && display_width(line) + display_width(trim(word)) > width) {
      lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
      line.clear();
    }
    line += word;
    begin = end;
  }
  lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  return lines;
}

std::string format_narrow_table(const std::vector<std::string>& header,
                                const std::vector<std::vector<std::string>>& rows,
                                std::size_t max_width) {
  constexpr std::size_t kLeastLastWidth = 16;
  std::size_t before = 0;
  for (std::size_t c = 0; c + 1 < header.size(); ++c) {
    std::size_t widest = display_width(header[c]);
    for (const auto& row : rows) {
      widest = std::max(widest, display_width(row.at(c)));
    }
    before += widest + 2;
  }
  const std::size_t last_width =
      std::max(kLeastLastWidth, max_width > before ? max_width - before : 0);
  std::vector<std::vector<std::string>> lines;
  for (std::vector<std::string> row : rows) {
    for (const std::string& part : wrap_text(row.back(), last_width)) {
      row.back() = part;
      lines.push_back(row);
      std::fill(row.begin(), row.end(), "");
    }
  }
  return format_table(header, lines);
}

}  // namespace baton::base
