#pragma once
// A table as a value, and the same table in four writings: HTML, Markdown, LaTeX, CSV. Text of data
// (task names, paths, settings) may hold anything: every writing escapes it. CSV has numbers in
// full, the others as people read them.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::report {

/// Printable (base::printable), then escaped for text and for attributes in quotes.
std::string escape_html(std::string_view text);
/// For a cell of a Markdown table.
std::string escape_markdown(std::string_view text);
std::string escape_latex(std::string_view text);
/// In quotes where it needs them (RFC 4180).
std::string csv_field(std::string_view text);

struct Cell {
  std::string text;
  std::optional<double> value = std::nullopt;  // of a number

  Cell(std::string words) : text(std::move(words)) {}
  Cell(const char* words) : text(words) {}
  Cell(std::string shown, double number) : text(std::move(shown)), value(number) {}
};

/// "12.35"; "-" for nothing and for what is not finite.
Cell number_cell(const std::optional<double>& value, int digits = 2);
/// "+12.35"
Cell signed_cell(double value, int digits = 2);
Cell count_cell(std::int64_t value);

struct Table {
  std::string slug;  // part of the CSV file's name; tables of one slug share a file
  std::string title;
  std::string run = {};  // whose; "" for tables over all runs
  std::vector<std::string> header = {};
  std::vector<std::vector<Cell>> rows = {};
  std::string note = {};
  bool is_points = false;  // the points of a chart: HTML and CSV only
};

std::string html_table(const Table& table);
std::string markdown_table(const Table& table);
std::string latex_table(const Table& table);
/// Tables of one slug: the union of their columns, "run" first where any has a run.
std::string csv_tables(std::span<const Table> tables);

}  // namespace baton::report
