#pragma once
// The "model" part of tokenizer.json: a BPE vocabulary and its merges, over bytes (byte-level) or over
// characters (SentencePiece's kind, with bytes for what the vocabulary lacks). Turns one piece of
// text into ids; knows neither pieces nor added tokens.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "baton/base/sha256.hpp"
#include "baton/tokenizer/tokenizer.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {

/// Lets a map of strings be asked with a view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// Merges by the pair of ids they join: open addressing, built once.
class MergeTable {
 public:
  struct Entry {
    std::uint64_t pair = 0;
    std::int32_t rank = -1;  // below zero: an empty slot
    TokenId merged = 0;
  };

  explicit MergeTable(std::size_t num_merges);

  /// A pair named twice keeps the later rank.
  void insert(TokenId left, TokenId right, std::int32_t rank, TokenId merged);
  const Entry* find(TokenId left, TokenId right) const;
  std::vector<Entry> by_rank() const;

 private:
  std::size_t slot_of(std::uint64_t pair) const;

  std::vector<Entry> slots_;
  std::size_t mask_;
};

class BpeModel {
 public:
  /// `works_on_bytes`: the vocabulary spells bytes (byte_alphabet.hpp), not text. A wrong type, an id out of range or used twice, a merge of unknown tokens: a kModel error.
  BpeModel(const JsonPart& part, bool works_on_bytes);
  ~BpeModel();

  /// Appends the ids of one piece (raw bytes). O(n log n) in its length. Thread-safe: the cache of
  /// words takes its own lock.
  void encode_piece(std::string_view piece, std::vector<TokenId>& ids) const;

  std::optional<TokenId> token_to_id(std::string_view token) const;
  /// Null when no token has this id.
  const std::string* id_to_token(TokenId id) const;
  /// No character is left out: there are bytes or an unknown token for those it lacks.
  bool has_ids_for_all() const { return uses_byte_fallback_ || unknown_id_.has_value(); }
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;
  std::size_t num_tokens() const { return vocabulary_.size(); }
  /// One past the highest id.
  std::int64_t id_limit() const { return static_cast<std::int64_t>(tokens_.size()); }

  /// Ids are below this in every file that is accepted.
  static constexpr std::int64_t kMaxIds = std::int64_t{1} << 22;

 private:
  class WordCache;
  /// What a byte or character becomes before merging: ids, or a share in an unknown token.
  struct SymbolIds {
    std::vector<TokenId> ids;
    bool is_unknown = false;
    bool is_fallback = false;
  };

  void read_vocabulary(const JsonPart& part);
  void read_merges(const JsonPart& part);
  SymbolIds ids_of(std::string_view symbol) const;
  /// The symbol at `position`, which moves behind it; `scratch` may hold it.
  const SymbolIds& next_symbol(std::string_view piece,
                               std::size_t& position,
                               SymbolIds& scratch) const;
  std::pair<std::string, std::string> merge_sides(const base::Json& merge,
                                                  const JsonPart& part,
                                                  std::size_t index) const;
  std::vector<TokenId> start_symbols(std::string_view piece) const;
  std::vector<TokenId> merge(const std::vector<TokenId>& symbols) const;

  TextMap<TokenId> vocabulary_;
  std::vector<std::string> tokens_;  // by id; empty where there is none
  std::vector<SymbolIds> byte_ids_;  // 256, or none: characters
  bool uses_byte_fallback_ = false;
  std::optional<TokenId> unknown_id_;
  bool fuses_unknown_ = false;
  bool ignores_merges_ = false;
  MergeTable merges_;
  std::unique_ptr<WordCache> cache_;
};

}  // namespace baton::tokenizer
