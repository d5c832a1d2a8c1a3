#include "baton/metrics/exact_match.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "baton/base/text.hpp"
#include "scorers.hpp"

namespace baton::metrics {

namespace {

struct FreeDeleter {
  void operator()(utf8proc_uint8_t* text) const noexcept { std::free(text); }
};

bool is_space(utf8proc_int32_t code_point) {
  if ((code_point >= 0x09 && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x1F) ||
      code_point == 0x85) {
    return true;
  }
  const utf8proc_category_t category = utf8proc_category(code_point);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_ascii_punctuation(utf8proc_int32_t code_point) {
  return (code_point >= 0x21 && code_point <= 0x2F) || (code_point >= 0x3A && code_point <= 0x40) ||
         (code_point >= 0x5B && code_point <= 0x60) || (code_point >= 0x7B && code_point <= 0x7E);
}

// Case folded and composed; nothing when the text is not UTF-8.
std::optional<std::string> fold(std::string_view text) {
  if (base::find_invalid_utf8(text)) {
    return std::nullopt;
  }
  utf8proc_uint8_t* folded = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &folded,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
  const std::unique_ptr<utf8proc_uint8_t, FreeDeleter> owner(folded);
  if (size < 0) {
    return std::nullopt;
  }
  return std::string(reinterpret_cast<const char*>(folded), static_cast<std::size_t>(size));
}

std::string collapse(std::string_view folded, bool drop_punctuation) {
  std::string result;
  bool space_before = false;
  for (std::size_t position = 0; position < folded.size();) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t num_bytes =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(folded.data()) + position,
                         static_cast<utf8proc_ssize_t>(folded.size() - position), &code_point);
    const std::size_t step = num_bytes > 0 ? static_cast<std::size_t>(num_bytes) : 1;
    if (is_space(code_point)) {
      space_before = true;
    } else if (!drop_punctuation || !is_ascii_punctuation(code_point)) {
      if (space_before && !result.empty()) {
        result.push_back(' ');
      }
      space_before = false;
      result.append(folded.substr(position, step));
    }
    position += step;
  }
  return result;
}

class ExactMatch : public Scorer {
 public:
  std::string name() const override { return "exact_match"; }
  Score score(std::string_view answer,
              const Target& target,
              const std::string& /*where*/) const override {
    return {.value = exact_match_best(answer, target.references)};
  }
};

}  // namespace

std::unique_ptr<Scorer> make_exact_match(std::vector<std::string> /*labels*/) {
  return std::make_unique<ExactMatch>();
}

std::string normal_form(std::string_view text) {
  const std::optional<std::string> folded = fold(text);
  if (!folded) {
    return std::string(text);
  }
  std::string bare = collapse(*folded, true);
  return bare.empty() ? collapse(*folded, false) : bare;
}

double exact_match(std::string_view prediction, std::string_view reference) {
  return normal_form(prediction) == normal_form(reference) ? 100 : 0;
}

double exact_match_best(std::string_view prediction, std::span<const std::string> references) {
  const std::string found = normal_form(prediction);
  return std::any_of(
             references.begin(), references.end(),
             [&found](const std::string& reference) { return found == normal_form(reference); })
             ? 100
             : 0;
}

}  // namespace baton::metrics
