#pragma once
// Runs a model folder's chat template on a conversation, as `transformers` does. Used to recognise
// templates only: prompts are never made from what it renders. The template is somebody else's
// program: its size and ranges are bounded, macros are not run, and what it does wrong is a text
// here. One that means harm can still use up time and memory, as in `transformers`.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "baton/tokenizer/prompt_template.hpp"

namespace minja {
class TemplateNode;
}

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

class JinjaTemplate {
 public:
  /// A text that is no template, or too large a one, is told by every `render`.
  explicit JinjaTemplate(std::string_view source);

  /// With the generation prompt asked for. A template that asks for the date gets what it has for
  /// those who do not know it, or fails.
  JinjaResult render(std::span<const Message> conversation, const JinjaTokens& tokens) const;

 private:
  std::shared_ptr<minja::TemplateNode> root_;
  std::string error_;
};

}  // namespace baton::tokenizer
