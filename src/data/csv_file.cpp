#include "baton/data/csv_file.hpp"

#include <fmt/format.h>

#include <string_view>

#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, std::string path) : text_(text), path_(std::move(path)) {}

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> rows;
    while (position_ < text_.size()) {
      CsvRow row{.fields = {}, .origin = fmt::format("{} line {}", path_, line_)};
      do {
        row.fields.push_back(field(row.origin));
      } while (take(','));
      end_line(row.origin);
      if (row.fields.size() > 1 || !row.fields.front().empty()) {
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }

 private:
  bool take(char c) {
    if (position_ < text_.size() && text_[position_] == c) {
      ++position_;
      line_ += c == '\n' ? 1 : 0;
      return true;
    }
    return false;
  }

  std::string field(const std::string& origin) {
    if (take('"')) {
      return quoted(origin);
    }
    const std::size_t end = std::min(text_.find_first_of(",\r\n", position_), text_.size());
    std::string value(text_.substr(position_, end - position_));
    position_ = end;
    return value;
  }

  std::string quoted(const std::string& origin) {
    std::string value;
    while (position_ < text_.size()) {
      if (take('"')) {
        if (!take('"')) {
          return value;
        }
        value.push_back('"');
        continue;
      }
      const char c = text_[position_];
      take(c);
      value.push_back(c);
    }
    refuse_row(origin, "a quoted field of a CSV file does not end", "a closing double quote",
               "the end of the file", "close it, or fetch the file again");
  }

  void end_line(const std::string& origin) {
    const bool had_return = take('\r');
    if (!take('\n') && !had_return && position_ < text_.size()) {
      refuse_row(origin, "text follows a quoted field of a CSV file", "a comma or the line's end",
                 "other text", "double the quotes inside of the field");
    }
  }

  std::string_view text_;
  std::string path_;
  std::size_t position_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> read_csv_rows(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  std::vector<CsvRow> rows = CsvParser(text, path.string()).rows();
  if (rows.empty()) {
    refuse_row(path.string(), "a CSV file holds no row", "at least one", "blank lines only",
               "fetch the file again");
  }
  return rows;
}

}  // namespace baton::data
