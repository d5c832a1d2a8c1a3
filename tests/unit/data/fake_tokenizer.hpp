#pragma once
// A tokenizer and a prompt template small enough to compute by hand: one token per byte of text,
// and BOS(300) USER(301) text END(302) ASSISTANT(303) around it.

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/tokenizer/prompt_template.hpp"

namespace baton::data {

class FakeTokenizer final : public tokenizer::Tokenizer {
 public:
  std::vector<tokenizer::TokenId> encode(std::string_view text) const override {
    if (base::find_invalid_utf8(text)) {
      throw base::Error(base::ErrorKind::kData, "not UTF-8",
                        {.where = "byte 0", .expected = "", .found = "", .fix = ""});
    }
    std::vector<tokenizer::TokenId> ids;
    for (const char c : text) {
      ids.push_back(static_cast<unsigned char>(c));
    }
    return ids;
  }
  std::vector<tokenizer::TokenId> encode_with_special(std::string_view text) const override {
    return encode(text);
  }
  std::string decode(const std::vector<tokenizer::TokenId>& ids, bool) const override {
    std::string text;
    for (const tokenizer::TokenId id : ids) {
      text.push_back(static_cast<char>(id));
    }
    return text;
  }
  std::optional<tokenizer::TokenId> token_to_id(std::string_view) const override {
    return std::nullopt;
  }
  std::string id_to_token(tokenizer::TokenId) const override { return ""; }
  std::int64_t vocabulary_size() const override { return 400; }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  std::string fingerprint_ = "fake";
};

class FakeTemplate final : public tokenizer::PromptTemplate {
 public:
  static constexpr std::int64_t kNumOwnTokens = 4;
  static constexpr tokenizer::TokenId kEndOfAnswer = 302;

  explicit FakeTemplate(const FakeTokenizer& tokenizer) : tokenizer_(tokenizer) {}

  const std::string& name() const override { return name_; }
  tokenizer::EncodedPrompt encode(std::span<const tokenizer::Message> conversation,
                                  std::int64_t max_tokens) const override {
    std::vector<tokenizer::TokenId> user = tokenizer_.encode(conversation.back().text);
    tokenizer::EncodedPrompt prompt;
    if (max_tokens > 0) {
      const auto room =
          static_cast<std::size_t>(std::max<std::int64_t>(0, max_tokens - kNumOwnTokens));
      if (user.size() > room) {
        prompt.num_user_tokens_cut = static_cast<std::int64_t>(user.size() - room);
        user.resize(room);
      }
    }
    prompt.ids = {300, 301};
    prompt.ids.insert(prompt.ids.end(), user.begin(), user.end());
    prompt.ids.insert(prompt.ids.end(), {302, 303});
    return prompt;
  }
  const std::vector<tokenizer::TokenId>& invocation_ids() const override { return invocation_; }
  tokenizer::QuestionFrame question_frame() const override {
    return {.before = {300, 301}, .after = {302, 303}};
  }
  tokenizer::TokenId end_of_answer_id() const override { return kEndOfAnswer; }
  std::vector<tokenizer::TemplatePart> parts() const override { return {}; }
  std::string render(std::span<const tokenizer::Message>) const override { return ""; }

 private:
  const FakeTokenizer& tokenizer_;
  std::string name_ = "fake";
  std::vector<tokenizer::TokenId> invocation_{303};
};

}  // namespace baton::data
