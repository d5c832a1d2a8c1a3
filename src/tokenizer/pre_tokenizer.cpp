#include "pre_tokenizer.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "baton/base/utf8.hpp"
#include "regex.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

void append_spans(std::string_view text, const std::vector<Span>& spans, Pieces& result) {
  for (const Span& span : spans) {
    result.views.push_back(text.substr(span.begin, span.end - span.begin));
  }
}

class DigitsStep : public PreTokenizer::Step {
 public:
  explicit DigitsStep(const JsonPart& part)
      : individual_(part.at("individual_digits").flag_or(false)) {}

  void apply(std::string_view piece, Place /*place*/, Pieces& result) const override {
    std::size_t begin = 0;
    bool was_digit = false;
    for (std::size_t position = 0; position < piece.size();) {
      const std::size_t start = position;
      const bool is_digit = base::is_numeric(base::next_code_point(piece, position));
      const bool is_border = is_digit != was_digit || (is_digit && individual_);
      if (is_border && start > begin) {
        result.views.push_back(piece.substr(begin, start - begin));
        begin = start;
      }
      was_digit = is_digit;
    }
    if (begin < piece.size()) {
      result.views.push_back(piece.substr(begin));
    }
  }

  std::string meaning() const override { return individual_ ? "every digit" : "digits"; }

 private:
  bool individual_;
};

class SplitStep : public PreTokenizer::Step {
 public:
  explicit SplitStep(const JsonPart& part) {
    const JsonPart pattern = part.at("pattern");
    if (!pattern.at("Regex").is_null()) {
      pattern_ = pattern.at("Regex").text();
      regex_.emplace(pattern_, pattern.at("Regex"));
    } else {
      pattern_ = pattern.at("String").text();
      if (pattern_.empty()) {
        pattern.refuse("a text to split at", "an empty one");
      }
    }
    const std::string behavior = part.at("behavior").text();
    const bool is_inverted = part.at("invert").flag_or(false);
    if (behavior == "Removed") {
      keeps_matches_ = is_inverted;
      keeps_gaps_ = !is_inverted;
    } else if (behavior == "MergedWithPrevious" && !regex_ && !is_inverted) {
      joins_previous_ = true;
    } else if (behavior != "Isolated") {
      part.at("behavior")
          .refuse("Isolated, Removed, or MergedWithPrevious for a literal text", behavior);
    }
  }

  void apply(std::string_view piece, Place /*place*/, Pieces& result) const override {
    auto spans = regex_ ? regex_->split(piece) : split_at_literal(piece, pattern_);
    if (joins_previous_) {
      spans = joined_with_previous(spans);
    }
    std::erase_if(spans,
                  [&](const Span& span) { return span.is_match ? !keeps_matches_ : !keeps_gaps_; });
    append_spans(piece, spans, result);
  }

  std::string meaning() const override {
    return fmt::format("split, matches {}, gaps {}, {} {}{}", keeps_matches_, keeps_gaps_,
                       regex_ ? "pattern" : "text", pattern_,
                       joins_previous_ ? ", joined with what is before" : "");
  }

 private:
  static std::vector<Span> joined_with_previous(const std::vector<Span>& spans) {
    std::vector<Span> joined;
    for (const Span& span : spans) {
      if (span.is_match && !joined.empty() && !joined.back().is_match) {
        joined.back().end = span.end;
        joined.back().is_match = true;  // a second match in a row stands alone
      } else {
        joined.push_back(span);
      }
    }
    return joined;
  }

  std::optional<Regex> regex_;  // nothing: the pattern is a literal text
  std::string pattern_;
  bool keeps_matches_ = true;
  bool keeps_gaps_ = true;
  bool joins_previous_ = false;
};

// SentencePiece's mark for a space, and one before the text.
class MetaspaceStep : public PreTokenizer::Step {
 public:
  explicit MetaspaceStep(const JsonPart& part) : mark_(part.at("replacement").text()) {
    std::size_t end = 0;
    if (!mark_.empty()) {
      base::next_code_point(mark_, end);
    }
    if (mark_.empty() || end != mark_.size()) {
      part.at("replacement").refuse("one character", "\"" + mark_ + "\"");
    }
    const JsonPart scheme = part.at("prepend_scheme");
    const bool older = part.at("add_prefix_space").flag_or(true);
    scheme_ = scheme.is_null() ? (older ? "always" : "never") : scheme.text();
    if (scheme_ != "always" && scheme_ != "first" && scheme_ != "never") {
      scheme.refuse("always, first or never", scheme_);
    }
    splits_ = part.at("split").flag_or(true);
  }

  void apply(std::string_view piece, Place place, Pieces& result) const override {
    std::string marked;
    for (const char c : piece) {
      c == ' ' ? marked.append(mark_) : marked.append(1, c);
    }
    const bool prepends = scheme_ == "always" || (scheme_ == "first" && place == Place::kBeginning);
    if (prepends && place != Place::kContinued && !marked.starts_with(mark_)) {
      marked.insert(0, mark_);
    }
    const std::string_view whole = result.owned.emplace_back(std::move(marked));
    std::size_t begin = 0;
    for (std::size_t found = whole.find(mark_, 1); splits_ && found != std::string_view::npos;
         found = whole.find(mark_, found + 1)) {
      result.views.push_back(whole.substr(begin, found - begin));
      begin = found;
    }
    result.views.push_back(whole.substr(begin));
  }

  std::string meaning() const override {
    return fmt::format("spaces are {}, before a text {}, pieces {}", mark_, scheme_, splits_);
  }

 private:
  std::string mark_;
  std::string scheme_;
  bool splits_ = true;
};

class ByteLevelStep : public PreTokenizer::Step {
 public:
  explicit ByteLevelStep(const JsonPart& part)
      : adds_space_(part.at("add_prefix_space").flag_or(true)) {
    if (part.at("use_regex").flag_or(true)) {
      regex_.emplace(kGpt2Pattern, part);
    }
  }

  void apply(std::string_view piece, Place place, Pieces& result) const override {
    if (adds_space_ && place != Place::kContinued && !piece.starts_with(' ')) {
      piece = result.owned.emplace_back(1, ' ').append(piece);
    }
    if (regex_) {
      append_spans(piece, regex_->split(piece), result);
    } else {
      result.views.push_back(piece);
    }
  }

  std::string meaning() const override {
    return fmt::format("bytes, space before {}, words {}", adds_space_, regex_.has_value());
  }

 private:
  bool adds_space_;
  std::optional<Regex> regex_;
};

std::unique_ptr<PreTokenizer::Step> make_step(const JsonPart& part) {
  const std::string type = part.type();
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevelStep>(part);
  }
  if (type == "Digits") {
    return std::make_unique<DigitsStep>(part);
  }
  if (type == "Split") {
    return std::make_unique<SplitStep>(part);
  }
  if (type == "Metaspace") {
    return std::make_unique<MetaspaceStep>(part);
  }
  part.refuse("ByteLevel, Digits, Split, Metaspace or a Sequence of these", "type " + type);
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const JsonPart& part) {
  PreTokenizer result;
  if (part.is_null()) {
    return result;
  }
  const auto elements =
      part.type() == "Sequence" ? part.at("pretokenizers").elements() : std::vector{part};
  for (const JsonPart& element : elements) {
    if (result.works_on_bytes_) {
      element.refuse("nothing after ByteLevel", "type " + element.type());
    }
    result.steps_.push_back(make_step(element));
    result.works_on_bytes_ = element.type() == "ByteLevel";
  }
  return result;
}

void PreTokenizer::add_meaning(base::Sha256& digest) const {
  digest.add_field(std::to_string(steps_.size()));
  for (const auto& step : steps_) {
    digest.add_field(step->meaning());
  }
}

Pieces PreTokenizer::split(std::string_view text, Place place) const {
  Pieces pieces;
  pieces.views.push_back(text);
  for (const auto& step : steps_) {
    std::vector<std::string_view> inputs = std::exchange(pieces.views, {});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      step->apply(inputs[i], i == 0 ? place : Place::kInside, pieces);
    }
  }
  return pieces;
}

}  // namespace baton::tokenizer
