#pragma once
// What a model folder says about its prompts: chat template, BOS, end of answer.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "baton/tokenizer/tokenizer.hpp"
#include "jinja.hpp"

namespace baton::tokenizer {

/// chat_template.jinja, else "chat_template" of tokenizer_config.json (a string, or the one named
/// "default" of a list). Broken files are kModel errors.
std::optional<std::string> read_chat_template(const std::filesystem::path& folder);

/// BOS ids of a plain prompt: by "add_bos_token" and "bos_token" of tokenizer_config.json; where
/// the first is absent, what the tokenizer's post-processor puts before a text.
std::vector<TokenId> read_bos(const std::filesystem::path& folder, const Tokenizer& tokenizer);

/// The first "eos_token_id" of generation_config.json, else of config.json, else "eos_token" of
/// tokenizer_config.json; a kModel error when there is none.
TokenId read_eos(const std::filesystem::path& folder, const Tokenizer& tokenizer);

/// "bos_token" and "eos_token" of tokenizer_config.json, else of special_tokens_map.json.
JinjaTokens read_jinja_tokens(const std::filesystem::path& folder);

}  // namespace baton::tokenizer
