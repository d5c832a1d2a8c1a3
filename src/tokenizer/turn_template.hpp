#pragma once
// The prompts of a TemplateForm: one walk over the conversation gives fixed parts and texts in
// order, which are rendered or encoded. Each text is encoded on its own, as one that goes on where
// the part before it ended, so that the ids are those that the whole text would have wherever a
// border is also one between tokens.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "baton/tokenizer/prompt_template.hpp"
#include "template_form.hpp"

namespace baton::tokenizer {

/// What the folder's files say, for a form that leaves it to them.
struct FolderTokens {
  std::vector<TokenId> bos;
  TokenId eos = 0;
};

class TurnTemplate : public PromptTemplate {
 public:
  /// A special token of the form that the tokenizer lacks is a kModel error. `folder` is used only
  /// by a form without `begin` or `end_of_answer`.
  TurnTemplate(TemplateForm form, FolderTokens folder, const Tokenizer& tokenizer);

  const std::string& name() const override { return form_.name; }
  EncodedPrompt encode(std::span<const Message> conversation,
                       std::int64_t max_tokens) const override;
  const std::vector<TokenId>& invocation_ids() const override { return invocation_; }
  QuestionFrame question_frame() const override;
  TokenId end_of_answer_id() const override { return end_of_answer_; }
  std::vector<TemplatePart> parts() const override;
  std::string render(std::span<const Message> conversation) const override;

 private:
  std::vector<TokenId> piece_ids(std::string_view text,
                                 SpecialTokens special,
                                 bool is_beginning) const;
  std::vector<TokenId> part_ids(std::string_view text) const;

  TemplateForm form_;
  FolderTokens folder_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> invocation_;
  TokenId end_of_answer_ = 0;
};

/// The conversation as the form renders it, after `begin`.
std::string render_turns(const TemplateForm& form, std::span<const Message> conversation);

}  // namespace baton::tokenizer
