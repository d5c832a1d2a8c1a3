#include "regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#include "baton/base/utf8.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::size_t kMaxPatternBytes = 16384;

// Sets other than \s, L, N, M and the kinds of letters keep PCRE2's own tables: they may lack code
// points newer than those.
// Unicode's White_Space; PCRE2's own \s has one code point more (U+180E).
constexpr const char* kSpaceMembers =
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{3000}";

// Kinds of letters and marks with their members newer than PCRE2's own tables.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMembers = {{
    {"Lu",
     "A-Z\\p{Lu}"
     "\\x{1C89}\\x{A7CB}-\\x{A7CC}\\x{A7DA}\\x{A7DC}\\x{10D50}-\\x{10D65}"},
    {"Ll",
     "a-z\\p{Ll}"
     "\\x{1C8A}\\x{A7CD}\\x{A7DB}\\x{10D70}-\\x{10D85}\\x{1DF25}-\\x{1DF2A}"},
    {"Lm",
     "\\p{Lm}"
     "\\x{10D4E}\\x{10D6F}\\x{16D40}-\\x{16D42}\\x{16D6B}-\\x{16D6C}"
     "\\x{1E030}-\\x{1E06D}\\x{1E4EB}"},
    {"Lo",
     "\\p{Lo}"
     "\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D4D}\\x{10D4F}\\x{10EC2}-\\x{10EC4}"
     "\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}"
     "\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}"
     "\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}"
     "\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"
     "\\x{16D43}-\\x{16D6A}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1E4D0}-\\x{1E4EA}"
     "\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}"
     "\\x{31350}-\\x{323AF}"},
    {"M",
     "\\p{M}"
     "\\x{897}\\x{CF3}\\x{ECE}\\x{10D69}-\\x{10D6D}\\x{10EFC}-\\x{10EFF}\\x{11241}"
     "\\x{113B8}-\\x{113C0}\\x{113C2}\\x{113C5}\\x{113C7}-\\x{113CA}"
     "\\x{113CC}-\\x{113D0}\\x{113D2}\\x{113E1}-\\x{113E2}\\x{11F00}-\\x{11F01}"
     "\\x{11F03}\\x{11F34}-\\x{11F3A}\\x{11F3E}-\\x{11F42}\\x{11F5A}\\x{13440}"
     "\\x{13447}-\\x{13455}\\x{1611E}-\\x{1612F}\\x{1E08F}\\x{1E4EC}-\\x{1E4EF}"
     "\\x{1E5EE}-\\x{1E5EF}"},
}};

// The ASCII members come first: PCRE2 keeps them in a bit map, which is much faster than a
// property.
std::optional<std::string> property_members(std::string_view name) {
  if (name == "L") {
    return std::string("A-Za-z\\p{L}") + base::kNewerLetters;
  }
  if (name == "N") {
    return std::string("0-9\\p{N}") + base::kNewerNumbers;
  }
  const auto found = std::find_if(kMembers.begin(), kMembers.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == kMembers.end() ? std::nullopt : std::optional(std::string(found->second));
}

class Translator {
 public:
  Translator(std::string_view pattern, const JsonPart& part) : pattern_(pattern), part_(part) {}

  std::string run() {
    while (position_ < pattern_.size()) {
      const char c = pattern_[position_];
      if (c == '\\') {
        escape();
      } else if (c == '[') {
        open_class();
      } else if (c == ']' && in_class_) {
        in_class_ = false;
        copy(1);
      } else if (in_class_) {
        class_member();
      } else {
        outside(c);
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& construct) const {
    part_.refuse(
        "a pattern of literals, groups, repeats, classes, \\s \\S \\d \\p{..} \\P{..} and "
        "lookahead",
        fmt::format("\"{}\" at byte {} of \"{}\"", construct, position_, pattern_));
  }

  bool follows(std::string_view text) const {
    return pattern_.substr(position_, text.size()) == text;
  }

  void copy(std::size_t size) {
    result_ += pattern_.substr(position_, size);
    position_ += size;
  }

  void open_class() {
    if (in_class_) {
      refuse("[ inside a class");
    }
    in_class_ = true;
    copy(1);
    if (position_ < pattern_.size() && pattern_[position_] == '^') {
      copy(1);
    }
    if (position_ < pattern_.size() && pattern_[position_] == ']') {
      refuse("[]");
    }
  }

  void class_member() {
    if (follows("&&")) {
      refuse("&&");
    }
    copy(1);
  }

  void outside(char c) {
    if (c == '^' || c == '$') {
      refuse(std::string(1, c));
    }
    if (c == '(' && follows("(?")) {
      for (const std::string_view known : {"(?:", "(?=", "(?!", "(?i:", "(?>"}) {
        if (follows(known)) {
          copy(known.size());
          return;
        }
      }
      refuse(std::string(pattern_.substr(position_, 4)));
    }
    if (follows("(*") || follows("}+")) {
      refuse(std::string(pattern_.substr(position_, 2)));
    }
    copy(1);
  }

  void put_set(const std::string& members, bool negated) {
    if (!in_class_) {
      result_ += (negated ? "[^" : "[") + members + "]";
    } else if (!negated) {
      result_ += members;
    } else {
      refuse("a negated set inside a class");
    }
  }

  void property(bool negated) {
    if (position_ + 2 >= pattern_.size() || pattern_[position_ + 2] != '{') {
      refuse(std::string(pattern_.substr(position_, 3)));
    }
    const auto end = pattern_.find('}', position_);
    if (end == std::string_view::npos) {
      refuse(std::string(pattern_.substr(position_, 6)));
    }
    const auto name = pattern_.substr(position_ + 3, end - position_ - 3);
    static constexpr std::array<std::string_view, 16> kKnown = {
        "L", "N", "Lu", "Lt", "Ll", "Lm", "Lo", "M", "Nd", "Nl", "No", "P", "S", "Z", "C", "Han"};
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      refuse(std::string(pattern_.substr(position_, end + 1 - position_)));
    }
    if (const auto members = property_members(name)) {
      put_set(*members, negated);
      position_ = end + 1;
    } else {
      copy(end + 1 - position_);
    }
  }

  void escape() {
    const char c = position_ + 1 < pattern_.size() ? pattern_[position_ + 1] : '\0';
    const bool is_punctuation = c > ' ' && c < '\x7f' && !(c >= '0' && c <= '9') &&
                                !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z');
    if (c == 's' || c == 'S') {
      put_set(kSpaceMembers, c == 'S');
      position_ += 2;
    } else if (c == 'p' || c == 'P') {
      property(c == 'P');
    } else if (c == 'r' || c == 'n' || c == 't' || c == 'd' || is_punctuation) {
      copy(2);
    } else {
      refuse(std::string(pattern_.substr(position_, 2)));
    }
  }

  std::string_view pattern_;
  const JsonPart& part_;
  std::string result_;
  std::size_t position_ = 0;
  bool in_class_ = false;
};

void append_span(std::vector<Span>& spans, std::size_t begin, std::size_t end, bool is_match) {
  if (begin < end) {
    spans.push_back({begin, end, is_match});
  }
}

}  // namespace

struct Regex::State {
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };
  std::unique_ptr<pcre2_code, Free> code;
  std::string pattern;
};

Regex::Regex(std::string_view pattern, const JsonPart& part) : state_(std::make_unique<State>()) {
  state_->pattern = std::string(pattern);
  const std::string translated = translate(pattern, part);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  state_->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &error_offset, nullptr));
  if (state_->code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    part.refuse("a regular expression",
                fmt::format("\"{}\": {}", pattern, reinterpret_cast<const char*>(message.data())));
  }
  // Without just-in-time compilation matching is slower, never different.
  (void)pcre2_jit_compile(state_->code.get(), PCRE2_JIT_COMPLETE);
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

std::string Regex::translate(std::string_view pattern, const JsonPart& part) {
  if (pattern.size() > kMaxPatternBytes) {
    part.refuse(fmt::format("a pattern of at most {} bytes", kMaxPatternBytes),
                fmt::format("{} bytes", pattern.size()));
  }
  return Translator(pattern, part).run();
}

std::vector<Span> Regex::split(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, State::Free> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, State::Free> context(
      pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr) {
    throw std::bad_alloc();
  }
  // One match may have to step over the whole text, so the limit grows with it.
  constexpr std::size_t kBaseSteps = 10'000'000;
  pcre2_set_match_limit(context.get(), static_cast<std::uint32_t>(std::min<std::size_t>(
                                           kBaseSteps + 16 * text.size(), UINT32_MAX)));
  std::vector<Span> spans;
  std::size_t position = 0;
  std::size_t covered = 0;
  while (position < text.size()) {
    const auto match = [&](std::uint32_t options) {
      return pcre2_match(state_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                         position, options | PCRE2_NO_UTF_CHECK, data.get(), context.get());
    };
    int outcome = match(0);
    if (outcome == PCRE2_ERROR_JIT_STACKLIMIT) {
      outcome = match(PCRE2_NO_JIT);
    }
    if (outcome == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (outcome < 0) {
      throw base::Error(base::ErrorKind::kModel, "a pattern of the tokenizer needs too many steps",
                        {.where = fmt::format("pattern \"{}\", byte {} of a text of {} bytes",
                                              state_->pattern, position, text.size()),
                         .expected = "a match within the step limit",
                         .found = fmt::format("PCRE2 error {}", outcome),
                         .fix = "check the pre_tokenizer of tokenizer.json"});
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
    append_span(spans, covered, offsets[0], false);
    append_span(spans, offsets[0], offsets[1], true);
    covered = offsets[1];
    position = offsets[1];
    if (offsets[0] == offsets[1] && position < text.size()) {
      base::next_code_point(text, position);
    }
  }
  append_span(spans, covered, text.size(), false);
  return spans;
}

std::vector<Span> split_at_literal(std::string_view text, std::string_view literal) {
  std::vector<Span> spans;
  std::size_t covered = 0;
  for (auto found = text.find(literal); found != std::string_view::npos && !literal.empty();
       found = text.find(literal, covered)) {
    append_span(spans, covered, found, false);
    covered = found + literal.size();
    append_span(spans, found, covered, true);
  }
  append_span(spans, covered, text.size(), false);
  return spans;
}

}  // namespace baton::tokenizer
