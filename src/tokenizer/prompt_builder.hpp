#pragma once
// Puts the ids of a prompt together, piece by piece, and cuts the last user text where the prompt
// would be too long. What every template shares.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "baton/tokenizer/prompt_template.hpp"

namespace baton::tokenizer {

/// No message, or a role other than system, user and assistant: a kData error.
void check_conversation(std::span<const Message> conversation);

class PromptBuilder {
 public:
  /// A part of the template: never cut.
  void add_part(const std::vector<TokenId>& ids);
  /// A message's text; the last one with `is_user` is what may be cut.
  void add_text(const std::vector<TokenId>& ids, bool is_user);

  /// Cuts the last user text at its end to `max_tokens` in all (<= 0: no limit).
  EncodedPrompt finish(std::int64_t max_tokens) &&;

 private:
  EncodedPrompt prompt_;
  std::size_t user_end_ = 0;
  std::size_t user_size_ = 0;
};

}  // namespace baton::tokenizer
