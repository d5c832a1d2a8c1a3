#pragma once
// Task files as JSON rows with the place each came from, and typed access to a row's fields. Used
// by the layout readers. Every error is kData, names file and line, and never shows a row's text.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "baton/base/json.hpp"

namespace baton::data {

struct JsonRow {
  base::Json value;    // an object
  std::string origin;  // "tasks/qa.json line 3"
};

/// The bytes of a text file, without a byte order mark at its start. Refused: a missing or empty
/// file, compressed and UTF-16 files (said by name), bytes that are not UTF-8 and NUL bytes (with
/// line and offset).
std::string read_text_file(const std::filesystem::path& path);

/// The rows of a file of JSON lines or of one JSON array of objects. Blank lines, CRLF and a
/// missing newline at the end are fine; no row at all, or a row over 16 MiB, is an error.
std::vector<JsonRow> read_json_rows(const std::filesystem::path& path);

[[noreturn]] void refuse_row(const std::string& origin,
                             const std::string& summary,
                             const std::string& expected,
                             const std::string& found,
                             const std::string& fix);

/// "a number", "a list", ...
std::string describe_type(const base::Json& value);

/// A string field; a missing one, another type or a NUL character in it is an error.
std::string require_text(const JsonRow& row, const std::string& field);
/// The same, or nothing when the field is missing or null.
std::optional<std::string> optional_text(const JsonRow& row, const std::string& field);
/// A string or a list of strings (at least one).
std::vector<std::string> require_texts(const JsonRow& row, const std::string& field);
/// A string or whole number as text, or nothing when the field is missing or null.
std::optional<std::string> optional_id(const JsonRow& row, const std::string& field);

}  // namespace baton::data
