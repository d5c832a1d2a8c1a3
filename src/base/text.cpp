#include "baton/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "baton/base/narrow.hpp"

namespace baton::base {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// Length of the valid sequence that starts at `i`, 0 when it is not valid (Unicode 15, table 3-7).
std::size_t utf8_sequence_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) {
    return k < text.size() ? static_cast<unsigned char>(text[k]) : static_cast<unsigned char>(0);
  };
  const auto continues = [&](std::size_t k, unsigned low = 0x80, unsigned high = 0xBF) {
    return k < text.size() && byte(k) >= low && byte(k) <= high;
  };
  const unsigned lead = byte(i);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return continues(i + 1) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;
    return continues(i + 1, low, high) && continues(i + 2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return continues(i + 1, low, high) && continues(i + 2) && continues(i + 3) ? 4 : 0;
  }
  return 0;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row[b.size()];
}

// The code point of the valid sequence text[i .. i + length).
std::uint32_t code_point(std::string_view text, std::size_t i, std::size_t length) {
  const auto lead = static_cast<unsigned char>(text[i]);
  std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
  for (std::size_t k = 1; k < length; ++k) {
    point = (point << 6U) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
  }
  return point;
}

struct CodeRange {
  std::uint32_t first;
  std::uint32_t last;
};

// What a terminal obeys instead of showing it, and marks without a width that turn or hide what
// stands beside them.
constexpr std::array<CodeRange, 6> kUnprintable{{{0x00, 0x1F},
                                                 {0x7F, 0x9F},
                                                 {0x200B, 0x200F},
                                                 {0x2028, 0x202E},
                                                 {0x2060, 0x206F},
                                                 {0xFEFF, 0xFEFF}}};

bool is_printable(std::uint32_t point) {
  return std::none_of(kUnprintable.begin(), kUnprintable.end(), [point](const CodeRange& range) {
    return point >= range.first && point <= range.last;
  });
}

bool looks_numeric(const std::string& cell) {
  return !cell.empty() && cell.find_first_not_of("0123456789.+-eE%, ") == std::string::npos;
}

}  // namespace

std::string trim(std::string_view text) {
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (begin < end && is_space(text[begin])) {
    ++begin;
  }
  while (end > begin && is_space(text[end - 1])) {
    --end;
  }
  return std::string(text.substr(begin, end - begin));
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> parts;
  if (trim(text).empty()) {
    return parts;
  }
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(trim(text.substr(begin, end == std::string_view::npos ? end : end - begin)));
    if (end == std::string_view::npos) {
      return parts;
    }
    begin = end + 1;
  }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts.begin(), parts.end(), separator));
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = utf8_sequence_length(text, i);
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::nullopt;
}

std::string printable(std::string_view text, bool in_one_line) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_sequence_length(text, i);
    const std::uint32_t point =
        length == 0 ? static_cast<unsigned char>(text[i]) : code_point(text, i, length);
    const bool is_our_line = point == '\n' && !in_one_line && text.substr(i + 1).starts_with("  ");
    if (is_our_line || (length > 0 && is_printable(point))) {
      shown += text.substr(i, length);
    } else {
      shown +=
          point < 0x100 ? fmt::format("\\x{:02X}", point) : fmt::format("\\u{{{:04X}}}", point);
    }
    i += std::max<std::size_t>(1, length);
  }
  return shown;
}

std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 2);
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance || (distance == best_distance && !best)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string format_duration(double seconds) {
  if (seconds < 60) {
    return fmt::format("{:.1f} s", seconds);
  }
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) {
    return fmt::format("{} min {:02d} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {:02d} min", whole / 3600, whole % 3600 / 60);
}

std::string format_bytes(std::uint64_t num_bytes) {
  if (num_bytes < 1024) {
    return fmt::format("{} B", num_bytes);
  }
  double value = static_cast<double>(num_bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) {
      break;
    }
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows) {
  const std::size_t num_columns = header.size();
  std::vector<std::size_t> widths(num_columns);
  std::vector<bool> numeric(num_columns, !rows.empty());
  const auto cell_of = [](const std::vector<std::string>& cells, std::size_t c) {
    return c < cells.size() ? printable(cells[c], true) : std::string();
  };
  for (std::size_t c = 0; c < num_columns; ++c) {
    widths[c] = display_width(cell_of(header, c));
    for (const auto& row : rows) {
      const std::string cell = cell_of(row, c);
      widths[c] = std::max(widths[c], display_width(cell));
      numeric[c] = numeric[c] && (looks_numeric(cell) || cell.empty());
    }
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < num_columns; ++c) {
      const std::string cell = cell_of(cells, c);
      const std::string padding(widths[c] - display_width(cell), ' ');
      text += numeric[c] ? padding + cell : cell + padding;
      text += c + 1 < num_columns ? "  " : "";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string table = line(header);
  std::vector<std::string> rule(num_columns);
  for (std::size_t c = 0; c < num_columns; ++c) {
    rule[c] = std::string(widths[c], '-');
  }
  table += line(rule);
  for (const auto& row : rows) {
    table += line(row);
  }
  return table;
}

}  // namespace baton::base
