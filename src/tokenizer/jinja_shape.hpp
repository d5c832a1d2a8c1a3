#pragma once
// Chat templates are Jinja programs. This reads one into a canonical list of statements and outputs
// - quotes, escapes, white space, trimming and the cutting of outputs no longer matter - so that it
// can be compared with the shapes we know. It runs nothing.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton::tokenizer {

/// One thing the template does, in order.
struct JinjaItem {
  enum class Kind {
    kStatement,   // {% text %}, without white space between its words' symbols
    kLiteral,     // text that is written as it stands
    kExpression,  // {{ text }}, anything that is not a string literal
  };
  Kind kind;
  std::string text;

  bool operator==(const JinjaItem&) const = default;
};

/// Neighbouring literals are one item, `x.name` is written `x['name']`. Trims blocks as
/// `transformers` does (trim_blocks, lstrip_blocks). Nothing when the text is not well-formed.
std::optional<std::vector<JinjaItem>> read_jinja(std::string_view source);

}  // namespace baton::tokenizer
