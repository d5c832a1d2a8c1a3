#include "baton/tokenizer/prompt_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "template_source.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::string_view kTurnStart = "<|im_start|>";
constexpr std::string_view kTurnEnd = "<|im_end|>";
constexpr std::string_view kSeparator = "\n\n";  // between the messages of a plain prompt

void check_conversation(std::span<const Message> conversation) {
  if (conversation.empty()) {
    throw base::Error(base::ErrorKind::kData,
                      "a conversation without messages cannot become a prompt",
                      {.expected = "at least one message", .fix = "give the row a prompt"});
  }
  for (const Message& message : conversation) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      throw base::Error(base::ErrorKind::kData, "a message has an unknown role",
                        {.expected = "system, user or assistant",
                         .found = "\"" + message.role + "\"",
                         .fix = "rename the role in the data"});
    }
  }
}

void append(const std::vector<TokenId>& from, std::vector<TokenId>& ids) {
  ids.insert(ids.end(), from.begin(), from.end());
}

// The parts of a prompt in order. The last user text is remembered, so that it can be cut at its
// end.
class PromptBuilder {
 public:
  void add_part(const std::vector<TokenId>& ids) { append(ids, prompt_.ids); }

  void add_text(const std::vector<TokenId>& ids, bool is_user) {
    add_part(ids);
    if (is_user) {
      user_end_ = prompt_.ids.size();
      user_size_ = ids.size();
    }
  }

  EncodedPrompt finish(std::int64_t max_tokens) && {
    const auto size = static_cast<std::int64_t>(prompt_.ids.size());
    if (max_tokens > 0 && size > max_tokens) {
      const std::int64_t num_cut =
          std::min(size - max_tokens, static_cast<std::int64_t>(user_size_));
      const auto end = prompt_.ids.begin() + static_cast<std::ptrdiff_t>(user_end_);
      prompt_.ids.erase(end - num_cut, end);
      prompt_.num_user_tokens_cut = num_cut;
    }
    return std::move(prompt_);
  }

 private:
  EncodedPrompt prompt_;
  std::size_t user_end_ = 0;
  std::size_t user_size_ = 0;
};

class PlainTemplate : public PromptTemplate {
 public:
  PlainTemplate(const std::filesystem::path& folder, const Tokenizer& tokenizer)
      : tokenizer_(tokenizer),
        bos_(read_bos(folder, tokenizer)),
        separator_(tokenizer.encode(kSeparator)),
        end_of_answer_(read_eos(folder, tokenizer)) {}

  const std::string& name() const override { return name_; }

  EncodedPrompt encode(std::span<const Message> conversation,
                       std::int64_t max_tokens) const override {
    check_conversation(conversation);
    PromptBuilder builder;
    builder.add_part(bos_);
    for (std::size_t i = 0; i < conversation.size(); ++i) {
      if (i > 0) {
        builder.add_part(separator_);
      }
      builder.add_text(tokenizer_.encode(conversation[i].text), conversation[i].role == "user");
    }
    return std::move(builder).finish(max_tokens);
  }

  const std::vector<TokenId>& invocation_ids() const override { return invocation_; }
  TokenId end_of_answer_id() const override { return end_of_answer_; }
  std::vector<TemplatePart> parts() const override {
    return {{"bos", bos_}, {"separator", separator_}, {"end_of_answer", {end_of_answer_}}};
  }

  std::string render(std::span<const Message> conversation) const override {
    check_conversation(conversation);
    std::string text;
    for (const TokenId id : bos_) {
      text += tokenizer_.id_to_token(id);
    }
    for (std::size_t i = 0; i < conversation.size(); ++i) {
      text += i > 0 ? kSeparator : std::string_view();
      text += conversation[i].text;
    }
    return text;
  }

 private:
  std::string name_ = "none";
  const Tokenizer& tokenizer_;
  std::vector<TokenId> bos_;
  std::vector<TokenId> separator_;
  std::vector<TokenId> invocation_;
  TokenId end_of_answer_;
};

class ChatmlTemplate : public PromptTemplate {
 public:
  ChatmlTemplate(ChatmlShape shape, const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), shape_(std::move(shape)) {
    for (const std::string_view token : {kTurnStart, kTurnEnd}) {
      const auto ids = tokenizer.encode_with_special(token);
      if (ids.size() != 1 || tokenizer.encode(token) == ids) {
        throw base::Error(
            base::ErrorKind::kModel,
            "the template chatml needs a special token that this tokenizer does not have",
            {.where = "tokenizer.json, part added_tokens",
             .expected = fmt::format("\"{}\" as a special token", token),
             .found = "none",
             .fix = "set template = none, or take a model made for chat"});
      }
    }
    end_of_answer_ = tokenizer.encode_with_special(kTurnEnd).front();
    turn_end_ = tokenizer.encode_with_special(fmt::format("{}\n", kTurnEnd));
    const std::array<std::string, 3> roles = {"system", "user", "assistant"};
    for (std::size_t i = 0; i < roles.size(); ++i) {
      turn_starts_[i] = {roles[i], tokenizer.encode_with_special(start_text(roles[i]))};
    }
    invocation_ = turn_starts_[2].ids;
    if (shape_.default_system) {
      default_system_ = tokenizer.encode_with_special(turn_text("system", *shape_.default_system));
    }
  }

  const std::string& name() const override { return name_; }

  EncodedPrompt encode(std::span<const Message> conversation,
                       std::int64_t max_tokens) const override {
    check_conversation(conversation);
    PromptBuilder builder;
    if (conversation.front().role != "system") {
      builder.add_part(default_system_);
    }
    for (const Message& message : conversation) {
      builder.add_part(turn_start(message.role));
      builder.add_text(tokenizer_.encode(message.text), message.role == "user");
      builder.add_part(turn_end_);
    }
    builder.add_part(invocation_);
    return std::move(builder).finish(max_tokens);
  }

  const std::vector<TokenId>& invocation_ids() const override { return invocation_; }
  TokenId end_of_answer_id() const override { return end_of_answer_; }
  std::vector<TemplatePart> parts() const override {
    std::vector<TemplatePart> parts{{"turn_end", turn_end_}, {"end_of_answer", {end_of_answer_}}};
    for (const TurnStart& start : turn_starts_) {
      parts.push_back({start.role + "_start", start.ids});
    }
    if (shape_.default_system) {
      parts.push_back({"default_system", default_system_});
    }
    return parts;
  }

  std::string render(std::span<const Message> conversation) const override {
    check_conversation(conversation);
    std::string text;
    if (conversation.front().role != "system" && shape_.default_system) {
      text += turn_text("system", *shape_.default_system);
    }
    for (const Message& message : conversation) {
      text += turn_text(message.role, message.text);
    }
    return text + start_text("assistant");
  }

 private:
  struct TurnStart {
    std::string role;
    std::vector<TokenId> ids;
  };

  static std::string start_text(std::string_view role) {
    return fmt::format("{}{}\n", kTurnStart, role);
  }

  static std::string turn_text(std::string_view role, std::string_view text) {
    return fmt::format("{}{}{}\n", start_text(role), text, kTurnEnd);
  }

  const std::vector<TokenId>& turn_start(std::string_view role) const {
    const auto found = std::find_if(turn_starts_.begin(), turn_starts_.end(),
                                    [&](const TurnStart& start) { return start.role == role; });
    BATON_ASSERT(found != turn_starts_.end(), std::string(role));
    return found->ids;
  }

  std::string name_ = "chatml";
  const Tokenizer& tokenizer_;
  ChatmlShape shape_;
  std::array<TurnStart, 3> turn_starts_;
  std::vector<TokenId> turn_end_;
  std::vector<TokenId> default_system_;
  std::vector<TokenId> invocation_;
  TokenId end_of_answer_ = 0;
};

std::unique_ptr<PromptTemplate> recognise_template(const std::filesystem::path& folder,
                                                   const Tokenizer& tokenizer) {
  const auto source = read_chat_template(folder);
  auto shape = source ? recognise_chatml(*source) : std::nullopt;
  if (!shape) {
    throw base::Error(base::ErrorKind::kModel,
                      source ? "the model's chat template is none of the known ones"
                             : "the model folder has no chat template to recognise",
                      {.where = folder.string() + " (chat_template.jinja, tokenizer_config.json)",
                       .expected = "a chatml template",
                       .found = source ? fmt::format("\"{}\"", source->substr(0, 80)) : "none",
                       .fix = "choose one of the known templates by name: none, chatml"});
  }
  return std::make_unique<ChatmlTemplate>(std::move(*shape), tokenizer);
}

}  // namespace

std::unique_ptr<PromptTemplate> make_template(const std::string& name,
                                              const std::filesystem::path& model_folder,
                                              const Tokenizer& tokenizer) {
  if (name == "none") {
    return std::make_unique<PlainTemplate>(model_folder, tokenizer);
  }
  if (name == "chatml") {
    const auto source = read_chat_template(model_folder);
    auto shape = source ? recognise_chatml(*source) : std::nullopt;
    return std::make_unique<ChatmlTemplate>(shape ? std::move(*shape) : ChatmlShape{}, tokenizer);
  }
  if (name == "auto") {
    return recognise_template(model_folder, tokenizer);
  }
  const auto names = template_names();
  const auto nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "unknown prompt template \"" + name + "\"",
      {.where = "key data.template",
       .expected = base::join(names, ", "),
       .found = name,
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "choose one of these"});
}

std::vector<std::string> template_names() {
  return {"auto", "none", "chatml"};
}

}  // namespace baton::tokenizer
