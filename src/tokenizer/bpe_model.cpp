#include "bpe_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "baton/base/utf8.hpp"
#include "byte_alphabet.hpp"

namespace baton::tokenizer {
namespace {

std::uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t num_merges)
    : slots_(std::bit_ceil(std::max<std::size_t>(2 * num_merges, 16))), mask_(slots_.size() - 1) {}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15ULL;
  const std::uint64_t mixed = (pair ^ (pair >> 29)) * kGoldenRatio;
  std::size_t slot = static_cast<std::size_t>(mixed >> 20) & mask_;
  while (slots_[slot].rank >= 0 && slots_[slot].pair != pair) {
    slot = (slot + 1) & mask_;
  }
  return slot;
}

void MergeTable::insert(TokenId left, TokenId right, std::int32_t rank, TokenId merged) {
  const std::uint64_t pair = pair_key(left, right);
  slots_[slot_of(pair)] = {pair, rank, merged};
}

const MergeTable::Entry* MergeTable::find(TokenId left, TokenId right) const {
  const Entry& entry = slots_[slot_of(pair_key(left, right))];
  return entry.rank >= 0 ? &entry : nullptr;
}

std::vector<MergeTable::Entry> MergeTable::by_rank() const {
  std::vector<Entry> entries;
  std::copy_if(slots_.begin(), slots_.end(), std::back_inserter(entries),
               [](const Entry& entry) { return entry.rank >= 0; });
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.rank < b.rank; });
  return entries;
}

// Most words of a corpus are few: their ids are kept up to a bound, the rest is merged again each
// time.
class BpeModel::WordCache {
 public:
  bool append(std::string_view word, std::vector<TokenId>& ids) const {
    const std::shared_lock lock(mutex_);
    const auto found = words_.find(word);
    if (found == words_.end()) {
      return false;
    }
    ids.insert(ids.end(), found->second.begin(), found->second.end());
    return true;
  }

  void store(std::string_view word, const std::vector<TokenId>& ids) {
    if (word.size() > kMaxWordBytes) {
      return;
    }
    const std::unique_lock lock(mutex_);
    if (words_.size() < kMaxWords) {
      words_.emplace(word, ids);
    }
  }

 private:
  static constexpr std::size_t kMaxWordBytes = 64;
  static constexpr std::size_t kMaxWords = 65536;

  mutable std::shared_mutex mutex_;
  TextMap<std::vector<TokenId>> words_;
};

BpeModel::BpeModel(const JsonPart& part, bool works_on_bytes)
    : merges_(part.at("merges").value().size()), cache_(std::make_unique<WordCache>()) {
  if (part.at("type").is_null() || part.type() != "BPE") {
    part.refuse("type BPE", part.at("type").is_null() ? "no type" : "type " + part.type());
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const JsonPart value = part.at(affix);
    if (!value.is_null() && !value.text().empty()) {
      value.refuse("nothing, as the BPE of these models has", "\"" + value.text() + "\"");
    }
  }
  const JsonPart dropout = part.at("dropout");
  if (!dropout.is_null() &&
      !(dropout.value().is_number() && dropout.value().get<double>() == 0.0)) {
    dropout.refuse("no dropout: ids must not depend on chance", "a value");
  }
  read_vocabulary(part.at("vocab"));
  const JsonPart unknown = part.at("unk_token");
  if (!unknown.is_null()) {
    unknown_id_ = token_to_id(unknown.text());
    if (!unknown_id_) {
      unknown.refuse("a token of the vocabulary", "\"" + unknown.text() + "\"");
    }
  }
  fuses_unknown_ = part.at("fuse_unk").flag_or(false);
  ignores_merges_ = part.at("ignore_merges").flag_or(false);
  uses_byte_fallback_ = part.at("byte_fallback").flag_or(false);
  for (std::size_t byte = 0; works_on_bytes && byte < 256; ++byte) {
    byte_ids_.push_back(ids_of(byte_symbols()[byte]));
  }
  read_merges(part.at("merges"));
}

BpeModel::~BpeModel() = default;

void BpeModel::read_vocabulary(const JsonPart& part) {
  if (!part.value().is_object() || part.value().empty()) {
    part.refuse("an object of tokens and their ids",
                part.is_null() ? "nothing" : "something else or an empty one");
  }
  vocabulary_.reserve(part.value().size());
  for (const auto& [token, value] : part.value().items()) {
    const bool is_id = value.is_number_integer() && value >= 0 && value < kMaxIds;
    if (!is_id) {
      part.refuse(fmt::format("whole numbers from 0 to {}", kMaxIds - 1),
                  fmt::format("{} for \"{}\"", value.is_number() ? value.dump() : value.type_name(),
                              token));
    }
    const auto id = value.get<TokenId>();
    const auto index = static_cast<std::size_t>(id);
    if (token.empty()) {
      part.refuse("tokens of at least one character", fmt::format("an empty one with id {}", id));
    }
    if (index >= tokens_.size()) {
      tokens_.resize(index + 1);
    }
    if (!tokens_[index].empty()) {
      part.refuse("each id once",
                  fmt::format("id {} for \"{}\" and \"{}\"", id, tokens_[index], token));
    }
    tokens_[index] = token;
    vocabulary_.emplace(token, id);
  }
}

// The fallback spells the bytes of the symbol; where the model works on bytes, not the byte that the
// symbol stands for.
BpeModel::SymbolIds BpeModel::ids_of(std::string_view symbol) const {
  SymbolIds result;
  if (const auto id = token_to_id(symbol)) {
    result.ids = {*id};
    return result;
  }
  for (const char byte : symbol) {
    const auto id = uses_byte_fallback_
                        ? token_to_id(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)))
                        : std::nullopt;
    if (!id) {
      result.ids.clear();
      result.is_unknown = true;
      return result;
    }
    result.ids.push_back(*id);
  }
  result.is_fallback = true;
  return result;
}

std::pair<std::string, std::string> BpeModel::merge_sides(const base::Json& merge,
                                                          const JsonPart& part,
                                                          std::size_t index) const {
  const bool is_pair =
      merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  if (is_pair) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  part.refuse("merges as \"a b\" or [\"a\", \"b\"]",
              fmt::format("another form at entry {}", index));
}

void BpeModel::read_merges(const JsonPart& part) {
  if (!part.value().is_array()) {
    part.refuse("an array of merges", part.is_null() ? "nothing" : part.value().type_name());
  }
  std::int32_t rank = 0;
  std::size_t index = 0;
  for (const base::Json& merge : part.value()) {
    const std::size_t entry = index++;
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const auto [left, right] = merge_sides(merge, part, entry);
    const auto left_id = token_to_id(left);
    const auto right_id = token_to_id(right);
    const auto merged_id = token_to_id(left + right);
    if (!left_id || !right_id || !merged_id) {
      const std::string& missing = !left_id ? left : !right_id ? right : left + right;
      part.refuse("merges of tokens of the vocabulary",
                  fmt::format("\"{}\" at entry {}", missing, entry));
    }
    merges_.insert(*left_id, *right_id, rank++, *merged_id);
  }
}

std::optional<TokenId> BpeModel::token_to_id(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* BpeModel::id_to_token(TokenId id) const {
  const bool is_known =
      id >= 0 && id < id_limit() && !tokens_[static_cast<std::size_t>(id)].empty();
  return is_known ? &tokens_[static_cast<std::size_t>(id)] : nullptr;
}

void BpeModel::add_meaning(base::Sha256& digest) const {
  digest.add_field(fmt::format("{} {} {} {}", tokens_.size(), unknown_id_.value_or(-1),
                               fuses_unknown_, ignores_merges_));
  for (const std::string& token : tokens_) {
    digest.add_field(token);
  }
  if (byte_ids_.empty()) {
    digest.add_field(fmt::format("characters, bytes for others {}", uses_byte_fallback_));
  }
  for (const SymbolIds& byte : byte_ids_) {
    digest.add_field(
        fmt::format("{} {} {}", byte.is_unknown, byte.is_fallback, fmt::join(byte.ids, " ")));
  }
  for (const MergeTable::Entry& entry : merges_.by_rank()) {
    digest.add_field(fmt::format("{} {}", entry.pair, entry.merged));
  }
}

void BpeModel::encode_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (cache_->append(piece, ids)) {
    return;
  }
  std::vector<TokenId> merged;
  const auto whole = ignores_merges_
                         ? token_to_id(byte_ids_.empty() ? std::string(piece) : spell_bytes(piece))
                         : std::nullopt;
  if (whole) {
    merged = {*whole};
  } else {
    merged = merge(start_symbols(piece));
  }
  cache_->store(piece, merged);
  ids.insert(ids.end(), merged.begin(), merged.end());
}

const BpeModel::SymbolIds& BpeModel::next_symbol(std::string_view piece,
                                                 std::size_t& position,
                                                 SymbolIds& scratch) const {
  if (!byte_ids_.empty()) {
    return byte_ids_[static_cast<unsigned char>(piece[position++])];
  }
  const std::size_t begin = position;
  base::next_code_point(piece, position);
  scratch = ids_of(piece.substr(begin, position - begin));
  return scratch;
}

std::vector<TokenId> BpeModel::start_symbols(std::string_view piece) const {
  std::vector<TokenId> symbols;
  symbols.reserve(piece.size());
  // An unknown token is written when the next known one follows, so that neighbours can become one;
  // byte fallback does not count as known here. So does the library these files are made for.
  bool has_unknown = false;
  SymbolIds scratch;
  for (std::size_t position = 0; position < piece.size();) {
    const SymbolIds& symbol = next_symbol(piece, position, scratch);
    if (symbol.is_unknown) {
      if (unknown_id_ && has_unknown && !fuses_unknown_) {
        symbols.push_back(*unknown_id_);
      }
      has_unknown = unknown_id_.has_value();
      continue;
    }
    if (has_unknown && !symbol.is_fallback) {
      symbols.push_back(*unknown_id_);
      has_unknown = false;
    }
    symbols.insert(symbols.end(), symbol.ids.begin(), symbol.ids.end());
  }
  if (has_unknown) {
    symbols.push_back(*unknown_id_);
  }
  return symbols;
}

namespace {

// A doubly linked list in a vector: joined symbols leave it without moving the others.
struct Symbol {
  TokenId id;
  std::int64_t previous;
  std::int64_t next;
  bool is_alive = true;
};

struct Candidate {
  std::int32_t rank;
  TokenId merged;
  std::int64_t position;  // of the left symbol

  // The heap's top is the lowest rank, then the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

std::vector<TokenId> BpeModel::merge(const std::vector<TokenId>& symbols) const {
  const auto size = static_cast<std::int64_t>(symbols.size());
  std::vector<Symbol> list;
  list.reserve(symbols.size());
  for (std::int64_t i = 0; i < size; ++i) {
    list.push_back({symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < size ? i + 1 : -1});
  }
  const auto symbol = [&](std::int64_t position) -> Symbol& {
    return list[static_cast<std::size_t>(position)];
  };

  std::vector<Candidate> heap;
  const auto consider = [&](std::int64_t left) {
    if (left < 0 || symbol(left).next < 0) {
      return;
    }
    if (const auto* entry = merges_.find(symbol(left).id, symbol(symbol(left).next).id)) {
      heap.push_back({entry->rank, entry->merged, left});
      std::push_heap(heap.begin(), heap.end());
    }
  };
  for (std::int64_t i = 0; i + 1 < size; ++i) {
    consider(i);
  }
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbol(best.position);
    if (!left.is_alive || left.next < 0) {
      continue;
    }
    Symbol& right = symbol(left.next);
    // Earlier merges may have changed the pair since it was put into the heap.
    const auto* entry = merges_.find(left.id, right.id);
    if (entry == nullptr || entry->merged != best.merged) {
      continue;
    }
    left.id = best.merged;
    left.next = right.next;
    right.is_alive = false;
    if (left.next >= 0) {
      symbol(left.next).previous = best.position;
    }
    consider(left.previous);
    consider(best.position);
  }
  std::vector<TokenId> ids;
  for (const Symbol& remaining : list) {
    if (remaining.is_alive) {
      ids.push_back(remaining.id);
    }
  }
  return ids;
}

}  // namespace baton::tokenizer
