#include "added_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/utf8.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::size_t kMaxAddedTokens = 65536;

std::size_t space_begin_before(std::string_view text, std::size_t end) {
  while (end > 0) {
    const std::size_t start = base::previous_start(text, end);
    std::size_t position = start;
    if (!base::is_white_space(base::next_code_point(text, position))) {
      break;
    }
    end = start;
  }
  return end;
}

std::size_t space_end_after(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    std::size_t position = begin;
    if (!base::is_white_space(base::next_code_point(text, position))) {
      break;
    }
    begin = position;
  }
  return begin;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(const std::vector<const AddedToken*>& tokens)
    : is_empty_(tokens.empty()) {
  for (const AddedToken* token : tokens) {
    tokens_[static_cast<unsigned char>(token->spelling.front())].push_back(token);
  }
  for (auto& bucket : tokens_) {
    std::stable_sort(bucket.begin(), bucket.end(), [](const AddedToken* a, const AddedToken* b) {
      return a->spelling.size() > b->spelling.size();
    });
  }
}

const AddedToken* AddedTokenMatcher::match_at(std::string_view text, std::size_t position) const {
  for (const AddedToken* token : tokens_[static_cast<unsigned char>(text[position])]) {
    if (text.compare(position, token->spelling.size(), token->spelling) == 0) {
      return token;
    }
  }
  return nullptr;
}

std::vector<AddedTokenMatcher::Piece> AddedTokenMatcher::split(std::string_view text,
                                                               bool keeps_special_as_text) const {
  std::vector<Piece> pieces;
  std::size_t covered = 0;
  for (std::size_t position = 0; !is_empty_ && position < text.size();) {
    const AddedToken* token = match_at(text, position);
    if (token == nullptr) {
      ++position;
      continue;
    }
    std::size_t begin = position;
    std::size_t end = position + token->spelling.size();
    position = end;
    // Tokens inside a special one that stays text are not looked for.
    if (keeps_special_as_text && token->is_special) {
      continue;
    }
    if (token->takes_space_left) {
      begin = std::max(space_begin_before(text, begin), covered);
    }
    if (token->takes_space_right) {
      end = space_end_after(text, end);
    }
    if (covered < begin) {
      pieces.push_back({text.substr(covered, begin - covered), nullptr});
    }
    pieces.push_back({text.substr(begin, end - begin), token});
    covered = end;
  }
  if (covered < text.size()) {
    pieces.push_back({text.substr(covered), nullptr});
  }
  return pieces;
}

AddedTokens::AddedTokens(const JsonPart& part,
                         const BpeModel& model,
                         const Normalizer& normalizer) {
  if (!part.is_null()) {
    const auto elements = part.elements();
    if (elements.size() > kMaxAddedTokens) {
      part.refuse(fmt::format("at most {} tokens", kMaxAddedTokens),
                  fmt::format("{}", elements.size()));
    }
    tokens_.reserve(elements.size());  // the matchers point into it
    for (const JsonPart& element : elements) {
      AddedToken token = read(element, normalizer);
      check_id(token, model, element);
      by_content_.emplace(token.content, tokens_.size());
      by_id_.emplace(token.id, tokens_.size());
      tokens_.push_back(std::move(token));
    }
  }
  std::vector<const AddedToken*> raw;
  std::vector<const AddedToken*> normalized;
  for (const AddedToken& token : tokens_) {
    (token.is_normalized ? normalized : raw).push_back(&token);
  }
  raw_.emplace(raw);
  normalized_.emplace(normalized);
}

AddedToken AddedTokens::read(const JsonPart& part, const Normalizer& normalizer) {
  AddedToken token;
  token.content = part.at("content").text();
  token.takes_space_left = part.at("lstrip").flag_or(false);
  token.takes_space_right = part.at("rstrip").flag_or(false);
  token.is_special = part.at("special").flag_or(false);
  token.is_normalized = part.at("normalized").flag_or(!token.is_special);
  if (token.content.empty()) {
    part.at("content").refuse("a text", "an empty one");
  }
  token.spelling = token.is_normalized ? normalizer.apply(token.content) : token.content;
  if (part.at("single_word").flag_or(false)) {
    part.at("single_word")
        .refuse("false: tokens that match whole words only are not supported", "true");
  }
  const std::int64_t id = part.at("id").integer();
  if (id < 0 || id >= BpeModel::kMaxIds) {
    part.at("id").refuse(fmt::format("a number from 0 to {}", BpeModel::kMaxIds - 1),
                         fmt::format("{}", id));
  }
  token.id = static_cast<TokenId>(id);
  return token;
}

void AddedTokens::check_id(const AddedToken& token,
                           const BpeModel& model,
                           const JsonPart& part) const {
  if (by_content_.contains(token.content) || by_id_.contains(token.id)) {
    part.refuse("each added token and each id once",
                fmt::format("\"{}\" with id {} again", token.content, token.id));
  }
  const auto model_id = model.token_to_id(token.content);
  const std::string* owner = model.id_to_token(token.id);
  if (model_id ? *model_id != token.id : owner != nullptr) {
    part.refuse(model_id ? fmt::format("id {}, as in model.vocab", *model_id)
                         : "an id that model.vocab does not use",
                fmt::format("id {} for \"{}\"", token.id, token.content));
  }
}

void AddedTokens::add_meaning(base::Sha256& digest) const {
  std::vector<const AddedToken*> sorted;
  for (const AddedToken& token : tokens_) {
    sorted.push_back(&token);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const AddedToken* a, const AddedToken* b) { return a->id < b->id; });
  digest.add_field(std::to_string(sorted.size()));
  for (const AddedToken* token : sorted) {
    digest.add_field(token->content)
        .add_field(fmt::format("{} {} {} {} {}", token->id, token->takes_space_left,
                               token->takes_space_right, token->is_normalized, token->is_special));
  }
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

std::int64_t AddedTokens::id_limit() const {
  std::int64_t limit = 0;
  for (const AddedToken& token : tokens_) {
    limit = std::max(limit, std::int64_t{token.id} + 1);
  }
  return limit;
}

}  // namespace baton::tokenizer
