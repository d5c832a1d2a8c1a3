#include "jinja_shape.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace baton::tokenizer {
namespace {

using Items = std::vector<JinjaItem>;
using Kind = JinjaItem::Kind;

struct Token {
  enum class Kind { kWord, kString, kSymbol } kind;
  std::string text;
};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// The string literal at `position` (a quote); moves behind it. Nothing for escapes we do not read.
std::optional<std::string> read_string(std::string_view code, std::size_t& position) {
  const char quote = code[position++];
  std::string text;
  while (position < code.size() && code[position] != quote) {
    char c = code[position++];
    if (c == '\\' && position < code.size()) {
      c = code[position++];
      if (c == 'n') {
        c = '\n';
      } else if (c == 't') {
        c = '\t';
      } else if (c != '\\' && c != '\'' && c != '"') {
        return std::nullopt;
      }
    }
    text.push_back(c);
  }
  if (position >= code.size()) {
    return std::nullopt;
  }
  ++position;
  return text;
}

std::optional<std::vector<Token>> read_tokens(std::string_view code) {
  std::vector<Token> tokens;
  for (std::size_t position = 0; position < code.size();) {
    const char c = code[position];
    if (is_space(c)) {
      ++position;
    } else if (c == '\'' || c == '"') {
      auto text = read_string(code, position);
      if (!text) {
        return std::nullopt;
      }
      tokens.push_back({Token::Kind::kString, std::move(*text)});
    } else if (is_word(c)) {
      const std::size_t begin = position;
      while (position < code.size() && is_word(code[position])) {
        ++position;
      }
      tokens.push_back({Token::Kind::kWord, std::string(code.substr(begin, position - begin))});
    } else {
      tokens.push_back({Token::Kind::kSymbol, std::string(1, c)});
      ++position;
    }
  }
  return tokens;
}

// One spelling for what means the same: words apart by one space, strings in single quotes,
// message.role as message['role'] (loop.first is no mapping and stays).
std::string spell(const std::vector<Token>& tokens) {
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_member = tokens[i].text == "." && tokens[i].kind == Token::Kind::kSymbol &&
                           i > 0 && i + 1 < tokens.size() &&
                           tokens[i + 1].kind == Token::Kind::kWord && tokens[i - 1].text != "loop";
    if (is_member) {
      text += "['" + tokens[++i].text + "']";
    } else if (tokens[i].kind == Token::Kind::kString) {
      text += "'" + tokens[i].text + "'";
    } else {
      if (tokens[i].kind == Token::Kind::kWord && !text.empty() && is_word(text.back())) {
        text += ' ';
      }
      text += tokens[i].text;
    }
  }
  return text;
}

void append_literal(std::string_view text, Items& items) {
  if (text.empty()) {
    return;
  }
  if (!items.empty() && items.back().kind == Kind::kLiteral) {
    items.back().text += text;
  } else {
    items.push_back({Kind::kLiteral, std::string(text)});
  }
}

// {{ a + 'b' }} writes a, then b: sums at the top level are taken apart unless another operator is
// there.
bool append_output(std::string_view code, Items& items) {
  const auto tokens = read_tokens(code);
  if (!tokens || tokens->empty()) {
    return false;
  }
  std::vector<std::vector<Token>> terms(1);
  int depth = 0;
  bool is_sum = true;
  for (const Token& token : *tokens) {
    const bool is_symbol = token.kind == Token::Kind::kSymbol;
    if (is_symbol && token.text == "+" && depth == 0) {
      terms.emplace_back();
      continue;
    }
    if (is_symbol && (token.text == "[" || token.text == "(")) {
      ++depth;
    } else if (is_symbol && (token.text == "]" || token.text == ")")) {
      --depth;
    } else if (is_symbol && token.text != ".") {
      is_sum = false;
    }
    terms.back().push_back(token);
  }
  if (!is_sum) {
    terms = {*tokens};
  }
  for (const auto& term : terms) {
    if (term.empty()) {
      return false;
    }
    if (term.size() == 1 && term[0].kind == Token::Kind::kString) {
      append_literal(term[0].text, items);
    } else {
      items.push_back({Kind::kExpression, spell(term)});
    }
  }
  return true;
}

class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {
    if (source_.ends_with('\n')) {  // Jinja drops one newline at the end
      source_.remove_suffix(1);
    }
  }

  std::optional<Items> run() {
    while (position_ < source_.size()) {
      const auto open = next_tag();
      data(source_.substr(position_, open - position_), open);
      position_ = open;
      if (open < source_.size() && !tag()) {
        return std::nullopt;
      }
    }
    return std::move(items_);
  }

 private:
  std::size_t next_tag() const {
    for (std::size_t i = position_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' &&
          (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) {
        return i;
      }
    }
    return source_.size();
  }

  // Text between tags, less what the tags around it trim.
  void data(std::string_view text, std::size_t open) {
    const bool starts_file = position_ == 0;
    if (trims_after_) {
      while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
      }
    } else if (after_block_ && text.starts_with('\n')) {
      text.remove_prefix(1);
    }
    if (open + 2 < source_.size()) {
      const bool is_block = source_[open + 1] != '{';
      if (source_[open + 2] == '-') {
        while (!text.empty() && is_space(text.back())) {
          text.remove_suffix(1);
        }
      } else if (is_block && source_[open + 2] != '+') {
        strip_indentation(text, starts_file);
      }
    }
    append_literal(text, items_);
  }

  // Blanks before a block tag go when nothing else stands before it on its line.
  void strip_indentation(std::string_view& text, bool starts_file) const {
    const auto last = text.find_last_not_of(" \t");
    const bool is_line_start =
        last == std::string_view::npos ? starts_file || after_newline() : text[last] == '\n';
    if (is_line_start) {
      text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    }
  }

  // Whether the text between tags begins a line: the newline before it was trimmed away with the
  // last tag.
  bool after_newline() const {
    return after_block_ && position_ < source_.size() && source_[position_] == '\n';
  }

  bool tag() {
    const char kind = source_[position_ + 1];
    const std::string close = kind == '{' ? "}}" : std::string(1, kind) + "}";
    const std::size_t end = find_close(close, kind == '#');
    if (end == std::string_view::npos) {
      return false;
    }
    std::string_view code = source_.substr(position_ + 2, end - position_ - 2);
    position_ = end + 2;
    trims_after_ = code.ends_with('-');
    after_block_ = kind != '{';
    if (code.ends_with('-') || code.ends_with('+')) {
      code.remove_suffix(1);
    }
    if (code.starts_with('-') || code.starts_with('+')) {
      code.remove_prefix(1);
    }
    if (kind == '#') {
      return true;
    }
    if (kind == '{') {
      return append_output(code, items_);
    }
    const auto tokens = read_tokens(code);
    if (tokens) {
      items_.push_back({Kind::kStatement, spell(*tokens)});
    }
    return tokens.has_value();
  }

  std::size_t find_close(const std::string& close, bool is_comment) const {
    std::size_t i = position_ + 2;
    while (i + 1 < source_.size()) {
      if (source_.substr(i, 2) == close) {
        return i;
      }
      if (!is_comment && (source_[i] == '\'' || source_[i] == '"')) {
        if (!read_string(source_, i)) {
          return std::string_view::npos;
        }
      } else {
        ++i;
      }
    }
    return std::string_view::npos;
  }

  std::string_view source_;
  std::size_t position_ = 0;
  Items items_;
  bool trims_after_ = false;
  bool after_block_ = false;
};

}  // namespace

std::optional<std::vector<JinjaItem>> read_jinja(std::string_view source) {
  return Reader(source).run();
}

}  // namespace baton::tokenizer
