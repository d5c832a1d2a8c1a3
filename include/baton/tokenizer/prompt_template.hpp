#pragma once
// Prompt templates: how a conversation becomes the ids a model reads. Template parts are encoded
// apart from user text and the ids concatenated, so that the borders never move and user text never
// becomes a special token. Used by data and eval.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "baton/tokenizer/tokenizer.hpp"

namespace baton::tokenizer {

struct Message {
  std::string role;  // "system" | "user" | "assistant"
  std::string text;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("role", self.role);
    visit("text", self.text);
  }
};

struct EncodedPrompt {
  std::vector<TokenId> ids;  // BOS and generation prompt included, answer not
  std::int64_t num_user_tokens_cut = 0;
};

/// A fixed part of a template: what it is for, and its ids.
struct TemplatePart {
  std::string name;  // "bos", "default_system", "end_of_answer"
  std::vector<TokenId> ids;
};

/// What a template makes of a conversation that is one message of the user: enough to build the
/// prompt elsewhere. Ids = before + text + after, and only the text's are cut.
struct QuestionFrame {
  std::vector<TokenId> before = {};
  std::string lead = {};      // stands before the text and is encoded with it
  bool trims_text = false;    // white space at both ends of the text goes first
  bool is_beginning = false;  // Tokenizer::encode makes the text's ids, else encode_after
  std::vector<TokenId> after = {};
};

class PromptTemplate {
 public:
  virtual ~PromptTemplate() = default;

  virtual const std::string& name() const = 0;

  /// The ids of the conversation, ready for the answer. No message or an unknown role is a kData
  /// error. When they would be more than `max_tokens`, the text of the last user message is cut at
  /// its end (never below zero tokens); template parts are never cut. max_tokens <= 0: no limit.
  virtual EncodedPrompt encode(std::span<const Message> conversation,
                               std::int64_t max_tokens) const = 0;

  /// The fixed ids that end every prompt: what the generation prompt adds, or, where it adds nothing
  /// (llama2, mistral), what closes the user's turn; empty when there are none.
  virtual const std::vector<TokenId>& invocation_ids() const = 0;

  /// How a lone question becomes a prompt.
  virtual QuestionFrame question_frame() const = 0;

  /// The end-of-answer token: appended to every target, ends decoding.
  virtual TokenId end_of_answer_id() const = 0;

  /// Every fixed part that this template has: together with the tokenizer they are all that turns
  /// a conversation into ids. Part of an expert's identity.
  virtual std::vector<TemplatePart> parts() const = 0;

  /// The rendered text of a conversation, as `transformers` renders the same template (generation
  /// prompt included): for people and golden tests. Encoding never goes through it.
  virtual std::string render(std::span<const Message> conversation) const = 0;
};

/// Makes a template by name. "none": BOS if the model's files ask for one, then the texts, several
/// messages joined by a blank line; the answer ends with the model's eos. The others are the chat
/// templates of `src/tokenizer/template_form.cpp`: chatml (a default system message only where the
/// folder's own template has one), llama2, llama3, mistral, alpaca, qwen, gemma and their variants;
/// a special token that one of them needs and the tokenizer lacks is a kModel error. "auto" runs the
/// folder's own chat template (chat_template.jinja or tokenizer_config.json) on probe conversations
/// and takes the one that renders the same; where none does, a kModel error shows what was rendered
/// and what the nearest expects. The template keeps a reference to the tokenizer.
///
/// Ids are those that `transformers` gives for the rendered text, with these exceptions, all since
/// texts are encoded apart: a text that spells a special token stays text; white space at the border
/// of a text (where the template does not trim it) makes no token with the template's; what of a
/// text would grow together with the template's letters does not. Of a space that stands before a
/// text in the template (llama2, mistral) the word begins with it, as in the rendered text.
std::unique_ptr<PromptTemplate> make_template(const std::string& name,
                                              const std::filesystem::path& model_folder,
                                              const Tokenizer& tokenizer);

/// The names make_template knows, "auto" included.
std::vector<std::string> template_names();

}  // namespace baton::tokenizer
