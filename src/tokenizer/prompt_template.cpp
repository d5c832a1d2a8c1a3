#include "baton/tokenizer/prompt_template.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "prompt_builder.hpp"
#include "template_form.hpp"
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

// The folder's own chat template, when it is one of chatml's shapes.
std::optional<TemplateForm> recognise_form(const std::optional<std::string>& source) {
  auto shape = source ? recognise_chatml(*source) : std::nullopt;
  if (!shape) {
    return std::nullopt;
  }
  TemplateForm form = *find_template_form("chatml");
  form.default_system = std::move(shape->default_system);
  return form;
}

TemplateForm recognise_template(const std::filesystem::path& folder) {
  const auto source = read_chat_template(folder);
  auto form = recognise_form(source);
  if (!form) {
    throw base::Error(
        base::ErrorKind::kModel,
        source ? "the model's chat template is none of the known ones"
               : "the model folder has no chat template to recognise",
        {.where = folder.string() + " (chat_template.jinja, tokenizer_config.json)",
         .expected = "a chatml template",
         .found = source ? fmt::format("\"{}\"", source->substr(0, 80)) : "none",
         .fix = "choose one of the known templates by name: " + base::join(known_names(), ", ")});
  }
  return std::move(*form);
}

}  // namespace

std::unique_ptr<PromptTemplate> make_template(const std::string& name,
                                              const std::filesystem::path& model_folder,
                                              const Tokenizer& tokenizer) {
  if (name == "none") {
    return std::make_unique<PlainTemplate>(model_folder, tokenizer);
  }
  if (name == "auto") {
    return make_turns(recognise_template(model_folder), model_folder, tokenizer);
  }
  if (const TemplateForm* form = find_template_form(name)) {
    std::optional<TemplateForm> own;
    if (form->has_any_default_system) {
      own = recognise_form(read_chat_template(model_folder));
    }
    return make_turns(own ? std::move(*own) : *form, model_folder, tokenizer);
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
