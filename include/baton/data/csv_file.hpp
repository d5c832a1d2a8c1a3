#pragma once
// CSV as RFC 4180 has it: commas, fields in double quotes where they hold commas, quotes (doubled)
// or line breaks. Used by readers of files that others publish so. Errors are kData with file and
// line, never the text.

#include <filesystem>
#include <string>
#include <vector>

namespace baton::data {

struct CsvRow {
  std::vector<std::string> fields;
  std::string origin;  // "test/anatomy_test.csv line 3": the line it begins at
};

/// Blank lines are passed over; no row at all is an error.
std::vector<CsvRow> read_csv_rows(const std::filesystem::path& path);

}  // namespace baton::data
