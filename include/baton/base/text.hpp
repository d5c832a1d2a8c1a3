#pragma once
// Small text helpers used by parsing, messages and tables. UTF-8 throughout.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::base {

std::string trim(std::string_view text);

/// Splits at `separator` and trims the parts; empty input gives no part, "a,,b" gives an empty one.
std::vector<std::string> split_list(std::string_view text, char separator = ',');

std::string join(std::span<const std::string> parts, std::string_view separator);

/// Byte offset of the first invalid UTF-8 sequence (overlong, surrogate, cut off, beyond U+10FFFF).
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

/// What comes from files and arguments, as messages and tables show it: control characters (C0, C1,
/// DEL), invisible marks that turn or hide text, and bytes that are no UTF-8 become \xNN or \u{NNNN},
/// so that no file speaks to the terminal. A line break is kept where an indented line of ours
/// follows it (two spaces), and nowhere with `in_one_line`. The log, errors and tables call it.
std::string printable(std::string_view text, bool in_one_line = false);

/// The candidate with the smallest edit distance to `name`, if it is close enough to be a likely
/// typo.
std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates);

/// "1.4 s", "2 min 05 s", "3 h 07 min".
std::string format_duration(double seconds);
/// "98 B", "1.5 KiB", "269.0 MiB".
std::string format_bytes(std::uint64_t num_bytes);

/// A text table: columns aligned, numbers to the right when a whole column is numeric. Cells are
/// printable().
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows);

}  // namespace baton::base
