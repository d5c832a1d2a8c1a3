#include "baton/tokenizer/tokenize_lines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::tokenizer {

void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, std::ostream& out) {
  std::string line;
  for (std::int64_t line_number = 1; std::getline(in, line); ++line_number) {
    if (const auto offset = base::find_invalid_utf8(line)) {
      throw base::Error(
          base::ErrorKind::kData, "the input is not UTF-8",
          {.where = fmt::format("line {}, byte {}", line_number, *offset),
           .expected = "valid UTF-8",
           .found = fmt::format("byte 0x{:02X}", static_cast<unsigned char>(line[*offset])),
           .fix = "convert the input to UTF-8"});
    }
    out << fmt::format("[{}]\n", fmt::join(tokenizer.encode(line), ","));
  }
  out.flush();
  if (!out) {
    throw base::Error(
        base::ErrorKind::kStorage, "the token ids could not be written",
        {.where = "output", .fix = "check where the output goes (closed pipe, full disk)"});
  }
}

}  // namespace baton::tokenizer
