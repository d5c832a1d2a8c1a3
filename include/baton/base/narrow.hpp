#pragma once
// Text that fits a width: tables and log lines of a plain terminal's 80 columns. Used where people
// read, not where programs do.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace baton::base {

inline constexpr std::size_t kPlainWidth = 80;

/// Columns that a text takes: its code points.
std::size_t display_width(std::string_view text);

/// The text in lines of at most `width` columns, broken at spaces and behind commas; a longer word
/// stays whole.
std::vector<std::string> wrap_text(std::string_view text, std::size_t width);

/// format_table() in at most `max_width` columns: cells of the last column are broken.
std::string format_narrow_table(const std::vector<std::string>& header,
                                const std::vector<std::vector<std::string>>& rows,
                                std::size_t max_width = kPlainWidth);

}  // namespace baton::base
