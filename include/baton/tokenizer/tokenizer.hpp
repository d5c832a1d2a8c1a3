#pragma once
// Text to token ids and back, behind one interface; the kinds of tokenizer.json are
// implementations. Used by data (training rows) and eval (prompts, answers). Knows no template and
// no model. All functions of a tokenizer may be called by several threads at once.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton::tokenizer {

using TokenId = std::int32_t;

/// What a special token spelled in a text becomes.
enum class SpecialTokens { kStayText, kBecomeIds };

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of user text. Special-token parsing is off: text that spells "<|im_end|>" stays text.
  /// (Added tokens that are not special are matched, as the `tokenizers` library does.) No BOS or
  /// EOS is added. Invalid UTF-8 is a kData error with the byte offset.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;

  /// As `encode`, but special tokens spelled in the text become their ids. For template parts only.
  virtual std::vector<TokenId> encode_with_special(std::string_view text) const = 0;

  /// Ids of a text that goes on where another one ended: as `encode` or `encode_with_special`, but
  /// without the mark or space that some tokenizers (SentencePiece's kind) put before a text.
  virtual std::vector<TokenId> encode_after(std::string_view text, SpecialTokens special) const {
    return special == SpecialTokens::kBecomeIds ? encode_with_special(text) : encode(text);
  }

  /// Text of the ids; byte sequences that are not UTF-8 become U+FFFD. `skip_special` leaves
  /// special tokens out.
  virtual std::string decode(const std::vector<TokenId>& ids, bool skip_special = true) const = 0;

  /// The id of a token by its exact vocabulary spelling ("<|im_end|>").
  virtual std::optional<TokenId> token_to_id(std::string_view token) const = 0;
  /// The vocabulary spelling of an id; empty when there is none.
  virtual std::string id_to_token(TokenId id) const = 0;
  /// One past the highest id, added tokens included.
  virtual std::int64_t vocabulary_size() const = 0;

  /// The special tokens (BOS) that the file's post-processor puts before a single text; `encode`
  /// does not add them. Templates decide.
  virtual std::vector<TokenId> leading_ids() const { return {}; }

  /// SHA-256 of what the tokenizer does (vocabulary, merges, added tokens, steps), independent of
  /// how the file spells it: part of an expert's identity.
  virtual const std::string& fingerprint() const = 0;
};

/// Reads `folder`/tokenizer.json. A missing file, an unknown kind or a broken table is a kModel
/// error that names the part of the file.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

}  // namespace baton::tokenizer
