#pragma once
// The regular expressions of tokenizer.json on PCRE2. The files are written for another engine, so
// a pattern is translated first: white space, letters and numbers get the sets that engine has, and
// what the two engines read differently is refused.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json_part.hpp"

namespace baton::tokenizer {

struct Span {
  std::size_t begin;
  std::size_t end;
  bool is_match;
};

class Regex {
 public:
  /// `part` is the place of the pattern in the file, for errors.
  Regex(std::string_view pattern, const JsonPart& part);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Matches and the gaps between them, in order, covering `text` (valid UTF-8); none is empty. May
  /// be called by several threads at once.
  std::vector<Span> split(std::string_view text) const;

  /// The pattern as PCRE2 gets it, or a kModel error.
  static std::string translate(std::string_view pattern, const JsonPart& part);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Splits at every occurrence of a literal text, as Regex::split does.
std::vector<Span> split_at_literal(std::string_view text, std::string_view literal);

}  // namespace baton::tokenizer
