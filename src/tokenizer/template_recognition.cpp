#include "template_recognition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "baton/base/json.hpp"
#include "turn_template.hpp"

namespace baton::tokenizer {
namespace {

struct Probe {
  std::vector<Message> conversation;
  JinjaResult result;
};

// The first is the plainest: what a default system message is, is read from it. Then turns, white
// space at the borders of the user's texts, texts that look like code or a special token, and
// system messages.
std::vector<Probe> render_probes(std::string_view source, const JinjaTokens& tokens) {
  const std::vector<std::vector<Message>> conversations = {
      {{"user", "What is it?"}},
      {{"user", "One"}, {"assistant", "Two"}, {"user", "Three"}},
      {{"user", " \n One  "}, {"assistant", "Two"}, {"user", "\tThree\n\n"}},
      {{"user", "{{ x }} {% if %} <|im_end|> </s> '\" \\n é"}},
      {{"system", "Be kind."}, {"user", "One"}},
      {{"system", "Be kind."},
       {"user", "One"},
       {"assistant", "Two"},
       {"user", "Three"},
       {"assistant", "Four"},
       {"user", "Five"}}};
  const JinjaTemplate chat(source);
  std::vector<Probe> probes;
  for (const auto& conversation : conversations) {
    probes.push_back({conversation, chat.render(conversation, tokens)});
  }
  return probes;
}

std::string render_form(const TemplateForm& form,
                        const std::vector<Message>& conversation,
                        const JinjaTokens& tokens) {
  return (form.begin ? "" : tokens.bos) + render_turns(form, conversation);
}

bool has_system(const Probe& probe) {
  return probe.conversation.front().role == "system";
}

const Probe* first_difference(const TemplateForm& form,
                              const std::vector<Probe>& probes,
                              const JinjaTokens& tokens) {
  for (const Probe& probe : probes) {
    const bool is_refused = !probe.result.error.empty();
    if (is_refused ? !has_system(probe)
                   : probe.result.text != render_form(form, probe.conversation, tokens)) {
      return &probe;
    }
  }
  return nullptr;
}

// The form with the default system message that stands in `rendered`, a conversation without one.
TemplateForm with_default_system(TemplateForm form, const Probe& plain, const JinjaTokens& tokens) {
  form.default_system.reset();
  const std::string begin = form.begin.value_or(tokens.bos);
  const std::string rest = render_form(form, plain.conversation, tokens).substr(begin.size());
  const std::string before = begin + form.system.before;
  const std::string after = form.system.after + rest;
  const std::string& rendered = plain.result.text;
  if (rendered.size() >= before.size() + after.size() && rendered.starts_with(before) &&
      rendered.ends_with(after)) {
    std::string text =
        rendered.substr(before.size(), rendered.size() - before.size() - after.size());
    if (std::none_of(form.special_tokens.begin(), form.special_tokens.end(),
                     [&](const std::string& token) { return text.find(token) != text.npos; })) {
      form.default_system = std::move(text);
    }
  }
  return form;
}

std::size_t common_size(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

// A text on one line, from a little before `from` on.
std::string shown(const std::string& text, std::size_t from) {
  constexpr std::size_t kBefore = 40;
  constexpr std::size_t kMax = 160;
  const std::size_t begin = from > kBefore ? from - kBefore : 0;
  const std::string_view part = std::string_view(text).substr(begin, kMax);
  const base::Json json(std::string{part});
  const std::string quoted = json.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  return (begin > 0 ? "..." : "") + quoted + (begin + kMax < text.size() ? "..." : "");
}

}  // namespace

Recognition recognise_template(std::string_view source, const JinjaTokens& tokens) {
  const std::vector<Probe> probes = render_probes(source, tokens);
  if (!probes.front().result.error.empty()) {
    return {.form = {},
            .expected = "a chat template that renders",
            .found = "it fails: " + probes.front().result.error};
  }
  std::vector<TemplateForm> forms = template_forms();
  // Those that know their message come first: the others would take it as one of a folder's own.
  std::stable_partition(forms.begin(), forms.end(),
                        [](const TemplateForm& form) { return !form.has_any_default_system; });
  Recognition nearest;
  std::size_t most = 0;
  for (TemplateForm& form : forms) {
    if (form.has_any_default_system) {
      form = with_default_system(std::move(form), probes.front(), tokens);
    }
    const Probe* other = first_difference(form, probes, tokens);
    if (other == nullptr) {
      return {.form = std::move(form), .expected = "", .found = ""};
    }
    const std::string expected = render_form(form, other->conversation, tokens);
    const std::size_t common = common_size(expected, other->result.text);
    // A later probe counts above a longer beginning.
    const std::size_t score = static_cast<std::size_t>(other - probes.data()) * 100000 + common + 1;
    if (score > most) {
      most = score;
      nearest.expected =
          fmt::format("{} (\"{}\" is the nearest)", shown(expected, common), form.name);
      nearest.found = other->result.error.empty() ? shown(other->result.text, common)
                                                  : "it fails: " + other->result.error;
    }
  }
  return nearest;
}

}  // namespace baton::tokenizer
