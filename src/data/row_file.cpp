#include "baton/data/row_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <system_error>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/text.hpp"

namespace baton::data {

namespace {

constexpr std::size_t kMaxRowBytes = std::size_t{16} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Signature {
  std::string_view bytes;
  const char* kind;
  const char* fix;
};

// What people offer by mistake, known by its first bytes.
constexpr std::array<Signature, 10> kSignatures{{
    {"\x1F\x8B", "a gzip file", "unpack it with gunzip and name the unpacked file"},
    {"\x28\xB5\x2F\xFD", "a zstd file", "unpack it with zstd -d and name the unpacked file"},
    {"\xFD\x37zXZ", "an xz file", "unpack it with unxz and name the unpacked file"},
    {"BZh", "a bzip2 file", "unpack it with bunzip2 and name the unpacked file"},
    {"PK\x03\x04", "a zip archive", "unpack it and name the file inside"},
    {"PAR1", "a Parquet file", "convert it to JSON lines"},
    {"\xFF\xFE", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
    {"\xFE\xFF", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
    {"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file it stands for",
     "fetch the file itself: git lfs pull"},
    {"\x80\x04\x95", "a pickle file", "convert it to JSON lines; pickle files are never opened"},
}};

[[noreturn]] void refuse_file(const std::string& where,
                              const std::string& summary,
                              const std::string& expected,
                              const std::string& found,
                              const std::string& fix) {
  throw base::Error(base::ErrorKind::kData, summary,
                    {.where = where, .expected = expected, .found = found, .fix = fix});
}

std::size_t line_of(std::string_view text, std::size_t offset) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(offset);
  return static_cast<std::size_t>(std::count(text.begin(), end, '\n')) + 1;
}

bool is_json_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_json_space);
}

// Parses one row. `is_last_piece`: the file ends with this row and without a newline, as a cut-off
// one would.
base::Json parse_row(std::string_view text, const std::string& origin, bool is_last_piece) {
  if (text.size() > kMaxRowBytes) {
    refuse_row(origin, "a row is too long to be one row",
               "at most " + base::format_bytes(kMaxRowBytes), base::format_bytes(text.size()),
               "check that the file is JSON lines, one object per line, or one JSON array");
  }
  base::Json value;
  try {
    value = base::parse_json(text, base::ErrorKind::kData, origin);
  } catch (const base::Error& error) {
    std::string found = error.details().found;
    const std::string first_line =
        "at line 1, column";  // of the row, which the reader knows by another number
    if (const std::size_t position = found.find(first_line);
        position != std::string::npos && text.find('\n') == std::string_view::npos) {
      found.replace(position, first_line.size(), "at column");
    }
    refuse_row(origin, "a row is not valid JSON",
               "one JSON object per line, or one JSON array of objects", found,
               is_last_piece ? "the file seems to be cut off here: fetch it again"
                             : "repair this row or fetch the file again");
  }
  if (!value.is_object()) {
    refuse_row(origin, "a row is not a JSON object", "an object: {...}", describe_type(value),
               "one JSON object per line, or one JSON array of objects");
  }
  return value;
}

std::vector<JsonRow> read_lines(std::string_view text, const std::string& path) {
  std::vector<JsonRow> rows;
  std::size_t line_number = 0;
  for (std::size_t start = 0; start < text.size();) {
    ++line_number;
    const std::size_t newline = text.find('\n', start);
    const std::size_t end = newline == std::string_view::npos ? text.size() : newline;
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (!is_blank(line)) {
      std::string origin = fmt::format("{} line {}", path, line_number);
      base::Json value = parse_row(line, origin, newline == std::string_view::npos);
      rows.push_back({std::move(value), std::move(origin)});
    }
  }
  return rows;
}

// The end of the array element that starts at `start`: the ',' or ']' that follows it at its own
// depth.
std::size_t find_element_end(std::string_view text, std::size_t start) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = start; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (depth == 0 && (c == ',' || c == ']')) {
      return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

// Cut into elements here, so that an error can name the line; each element is then parsed on its
// own.
std::vector<JsonRow> read_array(std::string_view text, const std::string& path) {
  std::vector<JsonRow> rows;
  std::size_t position = text.find('[') + 1;
  std::size_t line_number = line_of(text, position);
  while (true) {
    while (position < text.size() && is_json_space(text[position])) {
      line_number += static_cast<std::size_t>(text[position] == '\n');
      ++position;
    }
    const std::string origin =
        fmt::format("{} line {} (row {})", path, line_number, rows.size() + 1);
    const std::size_t end = find_element_end(text, position);
    if (end == std::string_view::npos) {
      refuse_row(origin, "a JSON array is not closed", "\"]\" after its last row",
                 "the end of the file", "the file seems to be cut off: fetch it again");
    }
    const bool is_end_of_array = text[end] == ']';
    const bool is_empty_array = is_end_of_array && rows.empty() && end == position;
    if (!is_empty_array) {
      const std::string_view element = text.substr(position, end - position);
      rows.push_back({parse_row(element, origin, false), origin});
      line_number += static_cast<std::size_t>(std::count(element.begin(), element.end(), '\n'));
    }
    position = end + 1;
    if (is_end_of_array) {
      break;
    }
  }
  if (!is_blank(text.substr(position))) {
    refuse_row(fmt::format("{} line {}", path, line_number), "text follows the end of a JSON array",
               "nothing after \"]\"", "more text",
               "one JSON object per line, or one JSON array of objects");
  }
  return rows;
}

void check_no_nul(const JsonRow& row, const std::string& field, const std::string& text) {
  if (text.find('\0') != std::string::npos) {
    refuse_row(row.origin, fmt::format("\"{}\" holds a NUL character", field), "text", "\\u0000",
               "remove it from this row");
  }
}

const base::Json* find_field(const JsonRow& row, const std::string& field) {
  const auto place = row.value.find(field);
  return place == row.value.end() || place->is_null() ? nullptr : &*place;
}

[[noreturn]] void refuse_missing(const JsonRow& row, const std::string& field) {
  std::vector<std::string> names;
  for (const auto& item : row.value.items()) {
    names.push_back(item.key().substr(0, 40));
    if (names.size() == 12) {
      break;
    }
  }
  refuse_row(row.origin, "a field is missing", fmt::format("\"{}\"", field),
             names.empty() ? "an empty object" : "only the fields " + base::join(names, ", "),
             "add the field, or name the right one under \"columns\" in dataset_info.json");
}

[[noreturn]] void refuse_type(const JsonRow& row,
                              const std::string& field,
                              const std::string& expected,
                              const base::Json& found) {
  refuse_row(row.origin, fmt::format("\"{}\" has the wrong type", field), expected,
             describe_type(found),
             "correct this row, or name another field under \"columns\" in dataset_info.json");
}

}  // namespace

void refuse_row(const std::string& origin,
                const std::string& summary,
                const std::string& expected,
                const std::string& found,
                const std::string& fix) {
  refuse_file(origin, summary, expected, found, fix);
}

std::string describe_type(const base::Json& value) {
  if (value.is_null()) {
    return "null";
  }
  if (value.is_boolean()) {
    return "true or false";
  }
  if (value.is_number()) {
    return "a number";
  }
  if (value.is_string()) {
    return "a string";
  }
  return value.is_array() ? "a list" : "an object";
}

std::string read_text_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    refuse_file(path.string(), "a task file is missing", "a file", "nothing of this name",
                "check the file names in dataset_info.json, or fetch the data again");
  }
  std::string text = base::read_file(path, base::ErrorKind::kData);
  for (const Signature& signature : kSignatures) {
    if (text.starts_with(signature.bytes)) {
      refuse_file(path.string(), "a task file is not a file of rows", "JSON in UTF-8",
                  signature.kind, signature.fix);
    }
  }
  if (const auto offset = base::find_invalid_utf8(text)) {
    refuse_file(fmt::format("{} line {}", path.string(), line_of(text, *offset)),
                "a task file is not UTF-8", "UTF-8 text",
                fmt::format("an invalid byte at offset {} of the file", *offset),
                "save the file as UTF-8, or fetch it again");
  }
  if (const std::size_t offset = text.find('\0'); offset != std::string::npos) {
    refuse_file(fmt::format("{} line {}", path.string(), line_of(text, offset)),
                "a task file holds a NUL byte", "UTF-8 text",
                fmt::format("a NUL byte at offset {} of the file", offset),
                "fetch the file again: NUL bytes are what a broken copy leaves");
  }
  if (text.starts_with(kByteOrderMark)) {
    text.erase(0, kByteOrderMark.size());
  }
  if (is_blank(text)) {
    refuse_file(path.string(), "a task file is empty", "at least one row",
                text.empty() ? "no byte" : "white space only", "fetch the file again");
  }
  return text;
}

std::vector<JsonRow> read_json_rows(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  std::vector<JsonRow> rows =
      text[first] == '[' ? read_array(text, path.string()) : read_lines(text, path.string());
  if (rows.empty()) {
    refuse_file(path.string(), "a task file holds no row", "at least one row", "an empty list",
                "fetch the file again");
  }
  return rows;
}

std::string require_text(const JsonRow& row, const std::string& field) {
  std::optional<std::string> text = optional_text(row, field);
  if (!text) {
    refuse_missing(row, field);
  }
  return *std::move(text);
}

std::optional<std::string> optional_text(const JsonRow& row, const std::string& field) {
  const base::Json* value = find_field(row, field);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_string()) {
    refuse_type(row, field, "a string", *value);
  }
  std::string text = value->get<std::string>();
  check_no_nul(row, field, text);
  return text;
}

std::vector<std::string> require_texts(const JsonRow& row, const std::string& field) {
  const base::Json* value = find_field(row, field);
  if (value == nullptr) {
    refuse_missing(row, field);
  }
  if (value->is_string()) {
    return {require_text(row, field)};
  }
  if (!value->is_array()) {
    refuse_type(row, field, "a string or a list of strings", *value);
  }
  std::vector<std::string> texts;
  for (const base::Json& item : *value) {
    if (!item.is_string()) {
      refuse_type(row, field, "a list of strings", item);
    }
    texts.push_back(item.get<std::string>());
    check_no_nul(row, field, texts.back());
  }
  if (texts.empty()) {
    refuse_row(row.origin, fmt::format("\"{}\" is an empty list", field), "at least one answer",
               "none", "add an answer or remove the row");
  }
  return texts;
}

std::optional<std::string> optional_id(const JsonRow& row, const std::string& field) {
  const base::Json* value = find_field(row, field);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_number_integer()) {
    return value->dump();
  }
  if (!value->is_string()) {
    refuse_type(row, field, "a string or a whole number", *value);
  }
  std::string id = value->get<std::string>();
  check_no_nul(row, field, id);
  if (id.empty()) {
    refuse_row(row.origin, fmt::format("\"{}\" is empty", field), "an id", "an empty string",
               "give the row an id, or leave the field out of all rows");
  }
  return id;
}

}  // namespace baton::data
