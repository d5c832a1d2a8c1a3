#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "added_tokens.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/tokenizer/tokenizer.hpp"
#include "bpe_model.hpp"
#include "decoder.hpp"
#include "normalizer.hpp"
#include "pre_tokenizer.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

// The special tokens that a TemplateProcessing post-processor puts before a single text.
std::vector<TokenId> read_leading_ids(const JsonPart& part, const AddedTokens& added) {
  std::vector<TokenId> ids;
  if (part.is_null()) {
    return ids;
  }
  if (part.type() == "Sequence") {
    for (const JsonPart& element : part.at("processors").elements()) {
      const auto found = read_leading_ids(element, added);
      ids.insert(ids.begin(), found.begin(), found.end());
    }
    return ids;
  }
  if (part.type() != "TemplateProcessing") {
    return ids;
  }
  for (const JsonPart& element : part.at("single").elements()) {
    const JsonPart special = element.at("SpecialToken");
    if (special.is_null()) {
      break;
    }
    const std::string content = special.at("id").text();
    const AddedToken* token = added.find(content);
    if (token == nullptr) {
      special.at("id").refuse("one of added_tokens", "\"" + content + "\"");
    }
    ids.push_back(token->id);
  }
  return ids;
}

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(const JsonPart& root)
      : normalizer_(Normalizer::from_json(root.at("normalizer"))),
        pre_tokenizer_(PreTokenizer::from_json(root.at("pre_tokenizer"))),
        model_(root.at("model"), pre_tokenizer_.works_on_bytes()),
        added_(root.at("added_tokens"), model_, normalizer_),
        decoder_(Decoder::from_json(root.at("decoder"))),
        leading_ids_(read_leading_ids(root.at("post_processor"), added_)),
        fingerprint_(digest_of_meaning()) {
    require_no_holes(root.at("model").at("vocab"));
    require_one_kind(root);
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    return encode_text(text, SpecialTokens::kStayText, Place::kBeginning);
  }

  std::vector<TokenId> encode_with_special(std::string_view text) const override {
    return encode_text(text, SpecialTokens::kBecomeIds, Place::kBeginning);
  }

  std::vector<TokenId> encode_after(std::string_view text, SpecialTokens special) const override {
    return encode_text(text, special, Place::kContinued);
  }

  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const TokenId id : ids) {
      const AddedToken* added = added_.find(id);
      if (added != nullptr) {
        if (!(skip_special && added->is_special)) {
          tokens.push_back(added->spelling);
        }
      } else if (const std::string* token = model_.id_to_token(id)) {
        tokens.push_back(*token);
      }
    }
    return decoder_.decode(std::move(tokens));
  }

  std::optional<TokenId> token_to_id(std::string_view token) const override {
    const AddedToken* added = added_.find(token);
    return added != nullptr ? std::optional(added->id) : model_.token_to_id(token);
  }

  std::string id_to_token(TokenId id) const override {
    if (const AddedToken* added = added_.find(id)) {
      return added->spelling;
    }
    const std::string* token = model_.id_to_token(id);
    return token != nullptr ? *token : std::string();
  }

  std::int64_t vocabulary_size() const override {
    return std::max(model_.id_limit(), added_.id_limit());
  }

  std::vector<TokenId> leading_ids() const override { return leading_ids_; }

  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  // An id without a token could be written by the model and never be read back.
  void require_no_holes(const JsonPart& vocabulary) const {
    for (TokenId id = 0; id < vocabulary_size(); ++id) {
      if (model_.id_to_token(id) == nullptr && added_.find(id) == nullptr) {
        vocabulary.refuse(fmt::format("a token for every id below {}", vocabulary_size()),
                          fmt::format("none for id {}, neither here nor in added_tokens", id));
      }
    }
  }

  // Byte-level from end to end, or characters with something for those that the vocabulary lacks:
  // parts of two files would lose text without a word.
  void require_one_kind(const JsonPart& root) const {
    const bool on_bytes = pre_tokenizer_.works_on_bytes();
    if (on_bytes && !decoder_.works_on_bytes()) {
      root.at("decoder").refuse("ByteLevel, as pre_tokenizer has", "another");
    }
    if (!on_bytes && decoder_.works_on_bytes()) {
      root.at("pre_tokenizer").refuse("ByteLevel as the last step, as decoder has", "another");
    }
    if (!on_bytes && !model_.has_ids_for_all()) {
      root.at("model")
          .at("byte_fallback")
          .refuse("true, or an unk_token: a vocabulary of characters lacks some", "neither");
    }
  }

  // Over what was read, not over how the file spells it: another order of keys, other white space,
  // merges as pairs or as one text, and parts that are not used here leave it as it is.
  std::string digest_of_meaning() const {
    base::Sha256 digest;
    digest.add_field("baton tokenizer, version 1");
    normalizer_.add_meaning(digest);
    pre_tokenizer_.add_meaning(digest);
    model_.add_meaning(digest);
    added_.add_meaning(digest);
    decoder_.add_meaning(digest);
    digest.add_field(fmt::format("{}", fmt::join(leading_ids_, " ")));
    return digest.hex();
  }

  // Added tokens are looked for in the text as it is, then in what normalising makes of the rest.
  std::vector<TokenId> encode_text(std::string_view text,
                                   SpecialTokens special,
                                   Place place) const {
    if (const auto offset = base::find_invalid_utf8(text)) {
      throw base::Error(
          base::ErrorKind::kData, "the text is not UTF-8",
          {.where = fmt::format("byte {} of a text of {} bytes", *offset, text.size()),
           .expected = "valid UTF-8",
           .found = fmt::format("byte 0x{:02X}", static_cast<unsigned char>(text[*offset])),
           .fix = "convert the file to UTF-8"});
    }
    const bool keeps_special_as_text = special == SpecialTokens::kStayText;
    std::vector<TokenId> ids;
    for (const auto& raw : added_.raw_matcher().split(text, keeps_special_as_text)) {
      if (raw.token != nullptr) {
        ids.push_back(raw.token->id);
        continue;
      }
      const Place raw_place = raw.text.data() == text.data() ? place : Place::kInside;
      std::string composed;
      std::string_view normalized = raw.text;
      if (!normalizer_.is_identity()) {
        composed = normalizer_.apply(raw.text, raw_place == Place::kContinued);
        normalized = composed;
      }
      for (const auto& piece :
           added_.normalized_matcher().split(normalized, keeps_special_as_text)) {
        if (piece.token != nullptr) {
          ids.push_back(piece.token->id);
        } else {
          const bool is_first = piece.text.data() == normalized.data();
          encode_ordinary(piece.text, is_first ? raw_place : Place::kInside, ids);
        }
      }
    }
    return ids;
  }

  void encode_ordinary(std::string_view text, Place place, std::vector<TokenId>& ids) const {
    const Pieces pieces = pre_tokenizer_.split(text, place);
    for (const std::string_view piece : pieces.views) {
      model_.encode_piece(piece, ids);
    }
  }

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  BpeModel model_;
  AddedTokens added_;
  Decoder decoder_;
  std::vector<TokenId> leading_ids_;
  std::string fingerprint_;
};

// The older forms of a tokenizer, from which transformers makes a tokenizer.json.
std::string older_files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const char* name : {"tokenizer.model", "spiece.model", "vocab.json", "merges.txt"}) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) {
      names.emplace_back(name);
    }
  }
  return base::join(names, ", ");
}

void require_tokenizer_file(const std::filesystem::path& folder,
                            const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored) || std::filesystem::exists(path, ignored)) {
    return;  // what else is wrong, reading says
  }
  const std::string older = older_files_in(folder);
  const std::string make = fmt::format(
      "python -c \"from transformers import AutoTokenizer as T; "
      "T.from_pretrained('{0}').save_pretrained('{0}')\" makes it from them",
      folder.string());
  throw base::Error(
      base::ErrorKind::kModel, "The model folder has no tokenizer.json.",
      {.where = folder.string(),
       .expected = "tokenizer.json",
       .found = older.empty() ? "no tokenizer of any kind" : older + " only",
       .fix = older.empty() ? "copy or download the model again: it is incomplete" : make});
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  const auto path = folder / "tokenizer.json";
  require_tokenizer_file(folder, path);
  const std::string content = base::read_file(path, base::ErrorKind::kModel, kMaxFileBytes);
  const base::Json json = base::parse_json(content, base::ErrorKind::kModel, path.string());
  const JsonPart root(json, path.string(), "");
  return std::make_unique<BpeTokenizer>(root);
}

}  // namespace baton::tokenizer
