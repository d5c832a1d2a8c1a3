#pragma once
// The "added_tokens" part of tokenizer.json: texts that are found before anything else and have an
// id of their own; some of them are special.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpe_model.hpp"
#include "json_part.hpp"
#include "normalizer.hpp"

namespace baton::tokenizer {

struct AddedToken {
  std::string content;
  std::string spelling;  // what decoding writes: `content`, normalised when the token is
  TokenId id = 0;
  bool takes_space_left = false;   // "lstrip"
  bool takes_space_right = false;  // "rstrip"
  bool is_normalized = false;      // looked for in the normalised text
  bool is_special = false;
};

/// Finds the tokens of a set in a text: leftmost first, the longest of those that start there.
class AddedTokenMatcher {
 public:
  struct Piece {
    std::string_view text;
    const AddedToken* token;  // null: ordinary text
  };

  /// Looks for the tokens' spellings; they outlive the matcher.
  explicit AddedTokenMatcher(const std::vector<const AddedToken*>& tokens);

  /// The text's pieces in order; with `keeps_special_as_text` a special token found is passed over.
  std::vector<Piece> split(std::string_view text, bool keeps_special_as_text) const;

 private:
  const AddedToken* match_at(std::string_view text, std::size_t position) const;

  std::array<std::vector<const AddedToken*>, 256> tokens_;  // by first byte, longest first
  bool is_empty_ = true;
};

class AddedTokens {
 public:
  AddedTokens(const JsonPart& part, const BpeModel& model, const Normalizer& normalizer);
  AddedTokens(const AddedTokens&) = delete;
  AddedTokens& operator=(const AddedTokens&) = delete;

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(TokenId id) const;
  std::int64_t id_limit() const;  // one past the highest id

  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

  const AddedTokenMatcher& raw_matcher() const { return *raw_; }
  const AddedTokenMatcher& normalized_matcher() const { return *normalized_; }

 private:
  static AddedToken read(const JsonPart& part, const Normalizer& normalizer);
  void check_id(const AddedToken& token, const BpeModel& model, const JsonPart& part) const;

  std::vector<AddedToken> tokens_;
  TextMap<std::size_t> by_content_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::optional<AddedTokenMatcher> raw_;
  std::optional<AddedTokenMatcher> normalized_;
};

}  // namespace baton::tokenizer
