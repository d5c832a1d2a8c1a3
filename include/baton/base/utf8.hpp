#pragma once
// Code points and their classes, as the tokenizer files of the world mean them (Unicode 16 and 17;
// the tables of the libraries at hand are older, so what came later is listed here).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace baton::base {

/// The code point at `position` of valid UTF-8; moves `position` behind it.
char32_t next_code_point(std::string_view text, std::size_t& position);

/// The byte offset of the last code point that starts before `end` (end > 0, valid UTF-8).
std::size_t previous_start(std::string_view text, std::size_t end);

void append_utf8(char32_t code_point, std::string& text);

/// Unicode's White_Space property: 25 code points.
bool is_white_space(char32_t code_point);

/// General category N (decimal digits, letter numbers, other numbers).
bool is_numeric(char32_t code_point);

/// The bytes as UTF-8; what is not becomes U+FFFD, one for each longest valid beginning of a
/// sequence.
std::string to_valid_utf8(std::string_view bytes);

/// Members of a PCRE2 character class for letters and numbers newer than the library's own tables.
extern const char* const kNewerLetters;
extern const char* const kNewerNumbers;

}  // namespace baton::base
