#include "template_source.hpp"

#include <fmt/format.h>

#include <utility>

#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = std::uint64_t{1} << 20;

// An absent file reads as an empty object.
base::Json read_optional_json(const std::filesystem::path& path) {
  return std::filesystem::exists(path) ? base::read_json_file(path, base::ErrorKind::kModel)
                                       : base::Json::object();
}

[[noreturn]] void refuse(const std::filesystem::path& path,
                         const std::string& key,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(base::ErrorKind::kModel, "the model folder does not fit its tokenizer",
                    {.where = path.string() + ", key " + key,
                     .expected = expected,
                     .found = found,
                     .fix = "take these files from one and the same model folder"});
}

// A token is written as a string or as an object with its "content".
std::string token_text(const base::Json& value,
                       const std::filesystem::path& path,
                       const std::string& key) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  refuse(path, key, "a token's text", value.type_name());
}

TokenId known_token(const std::string& text,
                    const Tokenizer& tokenizer,
                    const std::filesystem::path& path,
                    const std::string& key) {
  const auto id = tokenizer.token_to_id(text);
  if (!id) {
    refuse(path, key, "a token of the vocabulary", "\"" + text + "\"");
  }
  return *id;
}

std::optional<TokenId> read_eos_id(const std::filesystem::path& path, const Tokenizer& tokenizer) {
  const base::Json json = read_optional_json(path);
  if (!json.is_object() || !json.contains("eos_token_id") || json["eos_token_id"].is_null()) {
    return std::nullopt;
  }
  base::Json value = json["eos_token_id"];
  if (value.is_array() && !value.empty()) {
    value = base::Json(value[0]);
  }
  const bool is_id = value.is_number_integer() && value >= 0 && value < tokenizer.vocabulary_size();
  if (!is_id) {
    refuse(path, "eos_token_id", fmt::format("an id from 0 to {}", tokenizer.vocabulary_size() - 1),
           value.is_number() ? value.dump() : value.type_name());
  }
  return value.get<TokenId>();
}

}  // namespace

std::optional<std::string> read_chat_template(const std::filesystem::path& folder) {
  const auto jinja_path = folder / "chat_template.jinja";
  if (std::filesystem::exists(jinja_path)) {
    return base::read_file(jinja_path, base::ErrorKind::kModel, kMaxTemplateBytes);
  }
  const auto path = folder / "tokenizer_config.json";
  const base::Json json = read_optional_json(path);
  const JsonPart part = JsonPart(json, path.string(), "").at("chat_template");
  if (part.is_null()) {
    return std::nullopt;
  }
  if (!part.value().is_array()) {
    return part.text();
  }
  for (const JsonPart& named : part.elements()) {
    if (named.at("name").text() == "default") {
      return named.at("template").text();
    }
  }
  return std::nullopt;
}

std::vector<TokenId> read_bos(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  const auto path = folder / "tokenizer_config.json";
  const base::Json json = read_optional_json(path);
  const JsonPart root(json, path.string(), "");
  const JsonPart adds_bos = root.at("add_bos_token");
  if (adds_bos.is_null()) {
    return tokenizer.leading_ids();
  }
  if (!adds_bos.flag()) {
    return {};
  }
  const std::string text = token_text(root.at("bos_token").value(), path, "bos_token");
  return {known_token(text, tokenizer, path, "bos_token")};
}

TokenId read_eos(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (const auto id = read_eos_id(folder / name, tokenizer)) {
      return *id;
    }
  }
  const auto path = folder / "tokenizer_config.json";
  const base::Json json = read_optional_json(path);
  const JsonPart token = JsonPart(json, path.string(), "").at("eos_token");
  if (token.is_null()) {
    refuse(path, "eos_token",
           "an end token here, or eos_token_id in generation_config.json or config.json",
           "neither");
  }
  return known_token(token_text(token.value(), path, "eos_token"), tokenizer, path, "eos_token");
}

JinjaTokens read_jinja_tokens(const std::filesystem::path& folder) {
  JinjaTokens tokens;
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    const auto path = folder / name;
    const base::Json json = read_optional_json(path);
    const JsonPart root(json, path.string(), "");
    for (const auto& [key, text] :
         {std::pair("bos_token", &tokens.bos), std::pair("eos_token", &tokens.eos)}) {
      if (!root.at(key).is_null()) {
        *text = token_text(root.at(key).value(), path, key);
      }
    }
  }
  return tokens;
}

}  // namespace baton::tokenizer
