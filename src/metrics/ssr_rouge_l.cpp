// The scorer of the SSR benchmark's code, number for number: both texts cut by jieba 0.42.1, pieces
// joined by blanks, ROUGE-L of rouge-chinese 1.0.3 x 100 rounded to four digits, 0 where either
// side has no word. jieba cuts Chinese with a dictionary and a hidden Markov model, which are not
// here: text with a Chinese character is refused. What is left of its rules is short:
//   - blocks of [A-Za-z0-9+#&._%-]: words of its dictionary that are plain ASCII (five), and between
//     them numbers and words ("[A-Za-z0-9]+(.digits)?%?") and whatever stands between those;
//   - outside of blocks every character is a piece.
// rouge-chinese then breaks the joined text into sentences and splits those at blanks. A line that
// holds only white space leaves one empty word behind, which counts like any other.

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "scorers.hpp"

namespace baton::metrics {

namespace {

using CodePoint = char32_t;
using Text = std::u32string;

// All dictionary words without a Chinese character. None overlaps another, so jieba's best path
// takes each of them wherever it stands.
constexpr std::array<std::u32string_view, 5> kWords{U"AT&T", U"c#", U"C#", U"c++", U"C++"};

bool is_chinese(CodePoint c) {
  return c >= 0x4E00 && c <= 0x9FD5;
}

bool is_letter_or_digit(CodePoint c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_digit(CodePoint c) {
  return c >= '0' && c <= '9';
}

bool is_in_block(CodePoint c) {
  constexpr std::u32string_view kSigns = U"+#&._%-";
  return is_letter_or_digit(c) || kSigns.find(c) != std::u32string_view::npos;
}

// What Python's str.isspace accepts.
bool is_space(CodePoint c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

[[noreturn]] void refuse(const std::string& where, const std::string& found) {
  throw base::Error(base::ErrorKind::kData, "ssr_rouge_l cannot score a text as SSR's code would",
                    {.where = where,
                     .expected = "UTF-8 text without Chinese characters (jieba cuts those by its "
                                 "dictionary, which Baton does not have)",
                     .found = found,
                     .fix = "score this task by another metric: \"metric\" of its entry, or "
                            "eval.metric; answers that are decoded already are kept"});
}

Text decode(std::string_view text, const std::string& where) {
  if (const std::optional<std::size_t> offset = base::find_invalid_utf8(text)) {
    refuse(where, fmt::format("bytes that are not UTF-8 at byte {}", *offset));
  }
  Text result;
  for (std::size_t position = 0; position < text.size();) {
    utf8proc_int32_t code_point = 0;
    position += static_cast<std::size_t>(
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position,
                         static_cast<utf8proc_ssize_t>(text.size() - position), &code_point));
    const auto c = static_cast<CodePoint>(code_point);
    if (is_chinese(c)) {
      refuse(where, fmt::format("the character U+{:04X}", static_cast<std::uint32_t>(c)));
    }
    result.push_back(c);
  }
  return result;
}

/// Pieces joined by blanks, as they are made.
class Joined {
 public:
  void add(std::u32string_view piece) {
    if (!first_) {
      text_.push_back(U' ');
    }
    first_ = false;
    text_ += piece;
  }
  Text take() { return std::move(text_); }

 private:
  Text text_;
  bool first_ = true;
};

// Letters and digits, then ".digits" and "%" where they follow; 0 where none begins.
std::size_t match_number_or_word(std::u32string_view rest) {
  std::size_t end = 0;
  while (end < rest.size() && is_letter_or_digit(rest[end])) {
    ++end;
  }
  if (end == 0) {
    return 0;
  }
  std::size_t digits = end + 1;
  while (digits < rest.size() && is_digit(rest[digits])) {
    ++digits;
  }
  if (end < rest.size() && rest[end] == U'.' && digits > end + 1) {
    end = digits;
  }
  return end < rest.size() && rest[end] == U'%' ? end + 1 : end;
}

// What stands between dictionary words. A single character is a piece as it is.
void cut_plain(std::u32string_view part, Joined& pieces) {
  std::size_t begin = 0;  // of what matches nothing
  for (std::size_t position = 0; position < part.size();) {
    const std::size_t length = match_number_or_word(part.substr(position));
    if (length == 0) {
      ++position;
      continue;
    }
    if (position > begin) {
      pieces.add(part.substr(begin, position - begin));
    }
    pieces.add(part.substr(position, length));
    position += length;
    begin = position;
  }
  if (begin < part.size()) {
    pieces.add(part.substr(begin));
  }
}

void cut_block(std::u32string_view block, Joined& pieces) {
  std::size_t begin = 0;
  for (std::size_t position = 0; position < block.size();) {
    const auto word = std::find_if(kWords.begin(), kWords.end(), [&](std::u32string_view known) {
      return block.substr(position).starts_with(known);
    });
    if (word == kWords.end()) {
      ++position;
      continue;
    }
    cut_plain(block.substr(begin, position - begin), pieces);
    pieces.add(*word);
    position += word->size();
    begin = position;
  }
  cut_plain(block.substr(begin), pieces);
}

/// " ".join(jieba.cut(text))
Text segment(const Text& text) {
  const std::u32string_view all = text;
  Joined pieces;
  for (std::size_t position = 0; position < all.size();) {
    if (is_in_block(all[position])) {
      std::size_t end = position;
      while (end < all.size() && is_in_block(all[end])) {
        ++end;
      }
      cut_block(all.substr(position, end - position), pieces);
      position = end;
    } else {
      const std::size_t length = all.substr(position).starts_with(U"\r\n") ? 2 : 1;
      pieces.add(all.substr(position, length));
      position += length;
    }
  }
  return pieces.take();
}

bool is_closing_quote(CodePoint c) {
  return c == 0x201D || c == 0x2019;
}

bool ends_sentence(CodePoint c) {
  return c == U'?' || c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
}

// A line break after the end of a sentence, and after six dots, unless a closing quote follows: two
// passes over the text, each going on behind the character that followed. The package's other two
// patterns ("……" and an end before a quote) never match here: every such character is a piece
// of its own, with a blank behind it.
Text break_sentences(const Text& text) {
  Text once;
  for (std::size_t i = 0; i < text.size(); ++i) {
    once.push_back(text[i]);
    if (ends_sentence(text[i]) && i + 1 < text.size() && !is_closing_quote(text[i + 1])) {
      once.push_back(U'\n');
      once.push_back(text[++i]);
    }
  }
  Text twice;
  for (std::size_t i = 0; i < once.size();) {
    const bool matches = std::u32string_view(once).substr(i).starts_with(U"......") &&
                         i + 6 < once.size() && !is_closing_quote(once[i + 6]);
    if (matches) {
      twice += U"......\n";
      twice.push_back(once[i + 6]);
      i += 7;
    } else {
      twice.push_back(once[i++]);
    }
  }
  while (!twice.empty() && is_space(twice.back())) {
    twice.pop_back();
  }
  return twice;
}

std::string to_bytes(std::u32string_view word) {
  std::string bytes;
  for (const CodePoint c : word) {
    std::array<utf8proc_uint8_t, 4> buffer{};
    const utf8proc_ssize_t size =
        utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), buffer.data());
    bytes.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(size));
  }
  return bytes;
}

void add_words(std::u32string_view line, std::vector<std::string>& words) {
  if (line.empty()) {
    return;
  }
  const std::size_t before = words.size();
  Text word;
  for (const CodePoint c : line) {
    if (!is_space(c)) {
      word.push_back(c);
    } else if (!word.empty()) {
      words.push_back(to_bytes(word));
      word.clear();
    }
  }
  if (!word.empty()) {
    words.push_back(to_bytes(word));
  }
  if (words.size() == before) {
    words.emplace_back();
  }
}

/// None for a text without a word.
std::vector<std::string> words_of(std::string_view text, const std::string& where) {
  const Text joined = segment(decode(text, where));
  if (std::all_of(joined.begin(), joined.end(), is_space)) {
    return {};
  }
  const Text broken = break_sentences(joined);
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= broken.size();) {
    const std::size_t end = std::min(broken.find(U'\n', begin), broken.size());
    add_words(std::u32string_view(broken).substr(begin, end - begin), words);
    begin = end + 1;
  }
  return words;
}

double f_measure(const std::vector<std::string>& answer,
                 const std::vector<std::string>& reference) {
  if (answer.empty() || reference.empty()) {
    return 0;
  }
  // The same operations in the same order as the package, so that the doubles are equal.
  const auto common = static_cast<double>(longest_common_subsequence(reference, answer));
  const double recall = common / static_cast<double>(reference.size());
  const double precision = common / static_cast<double>(answer.size());
  const double f = 2.0 * ((precision * recall) / (precision + recall + 1e-8));
  return std::strtod(fmt::format("{:.4f}", f * 100).c_str(), nullptr);
}

class SsrRougeL : public Scorer {
 public:
  std::string name() const override { return "ssr_rouge_l"; }

  Score score(std::string_view answer,
              const Target& target,
              const std::string& where) const override {
    const std::vector<std::string> found = words_of(answer, where + ", an answer");
    double best = 0;
    for (const std::string& reference : target.references) {
      best = std::max(best, f_measure(found, words_of(reference, where + ", a reference")));
    }
    return {.value = best};
  }

  void check(const Target& target, const std::string& where) const override {
    for (const std::string& reference : target.references) {
      decode(reference, where + ", a reference");
    }
  }
};

}  // namespace

std::unique_ptr<Scorer> make_ssr_rouge_l(std::vector<std::string> /*labels*/) {
  return std::make_unique<SsrRougeL>();
}

}  // namespace baton::metrics
