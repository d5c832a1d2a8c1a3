#pragma once
// Which of our chat templates a folder's own one is: it is rendered on probe conversations, and
// what comes out is compared, so that its text does not matter.

#include <optional>
#include <string>
#include <string_view>

#include "jinja.hpp"
#include "template_form.hpp"

namespace baton::tokenizer {

struct Recognition {
  std::optional<TemplateForm> form;
  // Where there is none: the nearest of ours, what it expects and what was rendered instead.
  std::string expected;
  std::string found;
};

/// A conversation with a system message is not compared where the template refuses it.
Recognition recognise_template(std::string_view source, const JinjaTokens& tokens);

}  // namespace baton::tokenizer
