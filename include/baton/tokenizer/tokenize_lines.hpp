#pragma once
// Text lines to token ids, one JSON array a line: what `baton tokenize` does.

#include <iosfwd>

#include "baton/tokenizer/tokenizer.hpp"

namespace baton::tokenizer {

/// Lines end at '\n' only; a '\r' before it belongs to the line. A line that is not UTF-8 is a
/// kData error that names the line (from 1) and the byte offset in it (from 0); a failed write is a
/// kStorage error.
void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, std::ostream& out);

}  // namespace baton::tokenizer
