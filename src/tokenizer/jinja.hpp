#pragma once
// Runs a model folder's chat template on a conversation, as `transformers` does. Used to recognise
// templates only: prompts are never made from what it renders. The template is somebody else's
// program: its size and ranges are bounded, macros are not run, and what it does wrong is a text
// here. One that means harm can still use up time and memory, as in `transformers`.

#include <span>
#include <string>
#include <string_view>

#include "baton/tokenizer/prompt_template.hpp"

namespace baton::tokenizer {

struct JinjaResult {
  std::string text;
  std::string error;  // empty: it rendered
};

/// What the template may ask for beside the messages; empty where the folder has none.
struct JinjaTokens {
  std::string bos;
  std::string eos;
};

/// With the generation prompt asked for. A template that asks for the date gets what it has for
/// those who do not know it, or fails.
JinjaResult render_jinja(std::string_view source,
                         std::span<const Message> conversation,
                         const JinjaTokens& tokens);

}  // namespace baton::tokenizer
