#include "baton/tokenizer/prompt_template.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "prompt_builder.hpp"
#include "template_form.hpp"
#include "template_recognition.hpp"
#include "template_source.hpp"
#include "turn_template.hpp"

namespace baton::tokenizer {
namespace {

constexpr std::string_view kSeparator = "\n\n";  // between the messages of a plain prompt

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
  QuestionFrame question_frame() const override { return {.before = bos_, .is_beginning = true}; }
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

std::unique_ptr<PromptTemplate> make_turns(TemplateForm form,
                                           const std::filesystem::path& folder,
                                           const Tokenizer& tokenizer) {
  FolderTokens tokens;
  if (!form.begin) {
    tokens.bos = read_bos(folder, tokenizer);
  }
  if (form.end_of_answer.empty()) {
    tokens.eos = read_eos(folder, tokenizer);
  }
  return std::make_unique<TurnTemplate>(std::move(form), std::move(tokens), tokenizer);
}

// The names of templates that can be asked for beside "auto".
std::vector<std::string> known_names() {
  std::vector<std::string> names{"none"};
  for (const TemplateForm& form : template_forms()) {
    names.push_back(form.name);
  }
  return names;
}

TemplateForm form_of_folder(const std::filesystem::path& folder) {
  base::ErrorDetails context{
      .where = folder.string() + " (chat_template.jinja, tokenizer_config.json)",
      .fix = "choose one of the known templates by name: " + base::join(known_names(), ", ")};
  const auto source = read_chat_template(folder);
  if (!source) {
    context.expected = "a chat template";
    context.found = "none";
    throw base::Error(base::ErrorKind::kModel, "the model folder has no chat template to recognise",
                      context);
  }
  Recognition recognition = recognise_template(*source, read_jinja_tokens(folder));
  if (!recognition.form) {
    context.expected = recognition.expected;
    context.found = recognition.found;
    throw base::Error(base::ErrorKind::kModel,
                      "the model's chat template is none of the known ones", context);
  }
  return std::move(*recognition.form);
}

// A form that takes any default system message, with the one of the folder's template.
TemplateForm with_system_of_folder(TemplateForm form, const std::filesystem::path& folder) {
  if (const auto source = read_chat_template(folder)) {
    const auto own = recognise_template(*source, read_jinja_tokens(folder)).form;
    if (own && own->user.before == form.user.before) {
      form.default_system = own->default_system;
    }
  }
  return form;
}

}  // namespace

std::unique_ptr<PromptTemplate> make_template(const std::string& name,
                                              const std::filesystem::path& model_folder,
                                              const Tokenizer& tokenizer) {
  if (name == "none") {
    return std::make_unique<PlainTemplate>(model_folder, tokenizer);
  }
  if (name == "auto") {
    return make_turns(form_of_folder(model_folder), model_folder, tokenizer);
  }
  if (const TemplateForm* form = find_template_form(name)) {
    return make_turns(
        form->has_any_default_system ? with_system_of_folder(*form, model_folder) : *form,
        model_folder, tokenizer);
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
  std::vector<std::string> names = known_names();
  names.insert(names.begin(), "auto");
  return names;
}

}  // namespace baton::tokenizer
