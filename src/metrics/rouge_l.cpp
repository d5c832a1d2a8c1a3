#include "baton/metrics/rouge_l.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "scorers.hpp"

namespace baton::metrics {

namespace {

// The lower-case token character that starts at text[position] and how many bytes it takes; '\0'
// separates. Of all code points beyond ASCII only two lower-case to one of [a-z0-9] (checked
// against Python's str.lower): U+0130 to "i" and a combining dot, which separates, and U+212A
// (Kelvin sign) to "k".
struct TokenCharacter {
  char lower = '\0';
  std::size_t num_bytes = 1;
  bool ends_token = false;
};

TokenCharacter read_character(std::string_view text, std::size_t position) {
  const char c = text[position];
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
    return {.lower = c};
  }
  if (c >= 'A' && c <= 'Z') {
    return {.lower = static_cast<char>(c - 'A' + 'a')};
  }
  const std::string_view rest = text.substr(position);
  if (rest.starts_with("\xC4\xB0")) {
    return {.lower = 'i', .num_bytes = 2, .ends_token = true};
  }
  if (rest.starts_with("\xE2\x84\xAA")) {
    return {.lower = 'k', .num_bytes = 3};
  }
  return {};
}

std::vector<std::string> split_tokens(std::string_view text) {
  std::vector<std::string> tokens;
  std::string token;
  const auto end_token = [&] {
    if (!token.empty()) {
      tokens.push_back(token);
      token.clear();
    }
  };
  for (std::size_t position = 0; position < text.size();) {
    const TokenCharacter character = read_character(text, position);
    if (character.lower != '\0') {
      token.push_back(character.lower);
    }
    if (character.lower == '\0' || character.ends_token) {
      end_token();
    }
    position += character.num_bytes;
  }
  end_token();
  return tokens;
}

}  // namespace

std::size_t longest_common_subsequence(const std::vector<std::string>& a,
                                       const std::vector<std::string>& b) {
  std::unordered_map<std::string_view, std::uint32_t> numbers;
  const auto number_of = [&numbers](const std::string& token) {
    return numbers.try_emplace(token, static_cast<std::uint32_t>(numbers.size())).first->second;
  };
  std::vector<std::uint32_t> b_numbers;
  b_numbers.reserve(b.size());
  for (const std::string& token : b) {
    b_numbers.push_back(number_of(token));
  }
  std::vector<std::uint32_t> row(b.size() + 1, 0);
  for (const std::string& token : a) {
    const auto known = numbers.find(token);
    if (known == numbers.end()) {
      continue;  // occurs in no pair: its row of the table equals the one before
    }
    std::uint32_t diagonal = 0;
    for (std::size_t j = 0; j < b_numbers.size(); ++j) {
      const std::uint32_t above = row[j + 1];
      row[j + 1] = b_numbers[j] == known->second ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

namespace {

double f_measure(const std::vector<std::string>& predicted,
                 const std::vector<std::string>& target) {
  if (predicted.empty() || target.empty()) {
    return 0;
  }
  // The same operations in the same order as rouge-score, so that the doubles are equal.
  const auto common = static_cast<double>(longest_common_subsequence(target, predicted));
  const double precision = common / static_cast<double>(predicted.size());
  const double recall = common / static_cast<double>(target.size());
  return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

class RougeL : public Scorer {
 public:
  std::string name() const override { return "rouge_l"; }
  Score score(std::string_view answer,
              const Target& target,
              const std::string& /*where*/) const override {
    return {.value = rouge_l_best(answer, target.references)};
  }
};

}  // namespace

std::unique_ptr<Scorer> make_rouge_l(std::vector<std::string> /*labels*/) {
  return std::make_unique<RougeL>();
}

double rouge_l(std::string_view prediction, std::string_view reference) {
  return 100 * f_measure(split_tokens(prediction), split_tokens(reference));
}

double rouge_l_best(std::string_view prediction, std::span<const std::string> references) {
  const std::vector<std::string> predicted = split_tokens(prediction);
  double best = 0;
  for (const std::string& reference : references) {
    best = std::max(best, 100 * f_measure(predicted, split_tokens(reference)));
  }
  return best;
}

}  // namespace baton::metrics
