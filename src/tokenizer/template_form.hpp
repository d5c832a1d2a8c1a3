#pragma once
// The chat templates that Baton knows, as data: what stands around the text of each role. One more
// of a kind is one more entry in template_form.cpp; turn_template.hpp makes prompts of them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton::tokenizer {

/// What stands around a text. A space at the end of `before` is encoded with the text, since
/// vocabularies hold words with the space before them.
struct Turn {
  std::string before = {};
  std::string after = {};
};

/// Where a system message goes.
enum class SystemPlace {
  kOwnTurn,
  kFirstUserTurn,  // it opens the user's turn that follows: `system.before` instead of the user's
  kLastUserTurn,   // the same with the last user's turn
};

struct TemplateForm {
  std::string name;
  std::optional<std::string> begin =
      {};  // once, before all; nothing: the BOS that the folder asks for
  SystemPlace system_place = SystemPlace::kOwnTurn;
  Turn system = {};
  Turn user = {};
  Turn assistant = {};
  std::string answer_start = {};  // after the last turn: the generation prompt
  std::optional<std::string> default_system =
      {};                               // used when the first message is not the system's
  bool has_any_default_system = false;  // a folder's own template may bring one
  bool trims_texts = false;  // white space at both ends goes (of a system message: in its own turn)
  std::string end_of_answer = {};                // a token; empty: the folder's eos
  std::vector<std::string> special_tokens = {};  // those that it cannot do without
};

/// In the order in which people are told of them.
const std::vector<TemplateForm>& template_forms();

/// Nothing when there is none of the name.
const TemplateForm* find_template_form(std::string_view name);

}  // namespace baton::tokenizer
