#include "baton/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "baton/base/text.hpp"

namespace baton::report {
namespace {

/// Printable, with every byte that `replace` knows written by it.
std::string replaced(std::string_view text, const std::map<char, std::string>& by) {
  std::string out;
  for (const char c : base::printable(text, true)) {
    const auto found = by.find(c);
    out += found == by.end() ? std::string(1, c) : found->second;
  }
  return out;
}

bool is_numeric_column(const Table& table, std::size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
    return column < row.size() && row[column].value.has_value();
  });
}

/// Numbers to the right; short texts in one line.
const char* class_of(const Table& table, std::size_t column, const std::string& text) {
  constexpr std::size_t kShort = 24;
  if (column > 0 && is_numeric_column(table, column)) {
    return " class=\"n\"";
  }
  return text.size() <= kShort ? " class=\"k\"" : "";
}

}  // namespace

std::string escape_html(std::string_view text) {
  static const std::map<char, std::string> kEntities = {
      {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
  return replaced(text, kEntities);
}

std::string escape_markdown(std::string_view text) {
  static const std::map<char, std::string> kMarks = {
      {'\\', "\\\\"}, {'|', "\\|"}, {'*', "\\*"},  {'_', "\\_"},  {'`', "\\`"},
      {'[', "\\["},   {']', "\\]"}, {'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}};
  return replaced(text, kMarks);
}

std::string escape_latex(std::string_view text) {
  static const std::map<char, std::string> kMarks = {{'\\', "\\textbackslash{}"},
                                                     {'{', "\\{"},
                                                     {'}', "\\}"},
                                                     {'$', "\\$"},
                                                     {'&', "\\&"},
                                                     {'#', "\\#"},
                                                     {'_', "\\_"},
                                                     {'%', "\\%"},
                                                     {'~', "\\textasciitilde{}"},
                                                     {'^', "\\textasciicircum{}"},
                                                     {'<', "\\textless{}"},
                                                     {'>', "\\textgreater{}"}};
  return replaced(text, kMarks);
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    return std::string(text);
  }
  std::string out = "\"";
  for (const char c : text) {
    out += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return out + "\"";
}

Cell number_cell(const std::optional<double>& value, int digits) {
  if (!value || !std::isfinite(*value)) {
    return {"-"};
  }
  return {fmt::format("{:.{}f}", *value, digits), *value};
}

Cell signed_cell(double value, int digits) {
  return {fmt::format("{:+.{}f}", value, digits), value};
}

Cell count_cell(std::int64_t value) {
  return {fmt::format("{}", value), static_cast<double>(value)};
}

std::string html_table(const Table& table) {
  const std::string title = escape_html(table.title);
  std::string out = "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" + title +
                    "\"><table>\n<caption>" + title + "</caption>\n<thead><tr>";
  for (std::size_t i = 0; i < table.header.size(); ++i) {
    out += fmt::format("<th scope=\"col\"{}>{}</th>", class_of(table, i, table.header[i]),
                       escape_html(table.header[i]));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += fmt::format("<{}{}>{}</{}>", i == 0 ? "th scope=\"row\"" : "td",
                         class_of(table, i, row[i].text), escape_html(row[i].text),
                         i == 0 ? "th" : "td");
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  return table.note.empty() ? out : out + "<p class=\"note\">" + escape_html(table.note) + "</p>\n";
}

std::string markdown_table(const Table& table) {
  std::string out = "|";
  std::string rule = "|";
  for (std::size_t i = 0; i < table.header.size(); ++i) {
    out += " " + escape_markdown(table.header[i]) + " |";
    rule += is_numeric_column(table, i) ? " ---: |" : " --- |";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    out += "|";
    for (const Cell& cell : row) {
      out += " " + escape_markdown(cell.text) + " |";
    }
    out += "\n";
  }
  return table.note.empty() ? out : out + "\n" + escape_markdown(table.note) + "\n";
}

std::string latex_table(const Table& table) {
  std::string columns;
  std::string head;
  for (std::size_t i = 0; i < table.header.size(); ++i) {
    columns += is_numeric_column(table, i) ? 'r' : 'l';
    head += (i == 0 ? "" : " & ") + escape_latex(table.header[i]);
  }
  std::string out = "\\begin{table}\n\\centering\n\\caption{" + escape_latex(table.title) +
                    "}\n\\begin{tabular}{" + columns + "}\n\\hline\n" + head + " \\\\\n\\hline\n";
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += (i == 0 ? "" : " & ") + escape_latex(row[i].text);
    }
    out += " \\\\\n";
  }
  out += "\\hline\n\\end{tabular}\n";
  if (!table.note.empty()) {
    out += "\n\\smallskip\n{\\small " + escape_latex(table.note) + "}\n";
  }
  return out + "\\end{table}\n";
}

std::string csv_tables(std::span<const Table> tables) {
  std::vector<std::string> columns;
  bool has_run = false;
  for (const Table& table : tables) {
    has_run = has_run || !table.run.empty();
    for (const std::string& name : table.header) {
      if (std::find(columns.begin(), columns.end(), name) == columns.end()) {
        columns.push_back(name);
      }
    }
  }
  std::string out = has_run ? "run" : "";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    out += (i > 0 || has_run ? "," : "") + csv_field(columns[i]);
  }
  out += "\r\n";
  for (const Table& table : tables) {
    for (const auto& row : table.rows) {
      std::string line = has_run ? csv_field(table.run) : "";
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const auto place = static_cast<std::size_t>(
            std::find(table.header.begin(), table.header.end(), columns[i]) - table.header.begin());
        line += i > 0 || has_run ? "," : "";
        if (place < row.size()) {
          line +=
              row[place].value ? fmt::format("{}", *row[place].value) : csv_field(row[place].text);
        }
      }
      out += line + "\r\n";
    }
  }
  return out;
}

}  // namespace baton::report
