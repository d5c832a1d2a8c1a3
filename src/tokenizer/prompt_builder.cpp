#include "prompt_builder.hpp"

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::tokenizer {

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

void PromptBuilder::add_part(const std::vector<TokenId>& ids) {
  prompt_.ids.insert(prompt_.ids.end(), ids.begin(), ids.end());
}

void PromptBuilder::add_text(const std::vector<TokenId>& ids, bool is_user) {
  add_part(ids);
  if (is_user) {
    user_end_ = prompt_.ids.size();
    user_size_ = ids.size();
  }
}

EncodedPrompt PromptBuilder::finish(std::int64_t max_tokens) && {
  const auto size = static_cast<std::int64_t>(prompt_.ids.size());
  if (max_tokens > 0 && size > max_tokens) {
    const std::int64_t num_cut = std::min(size - max_tokens, static_cast<std::int64_t>(user_size_));
    const auto end = prompt_.ids.begin() + static_cast<std::ptrdiff_t>(user_end_);
    prompt_.ids.erase(end - num_cut, end);
    prompt_.num_user_tokens_cut = num_cut;
  }
  return std::move(prompt_);
}

}  // namespace baton::tokenizer
