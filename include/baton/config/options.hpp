#pragma once
// The explicit list of all config keys: what --help prints and what nearest names are looked up in.

#include <string>
#include <vector>

namespace baton::config {

struct OptionInfo {
  std::string section;       // "train"
  std::string name;          // "learning_rate"
  std::string values;        // what may be given: "a number > 0 and <= 10"
  std::string default_text;  // as one would type it; empty for none
  bool is_required = false;
  bool is_identity = false;  // changes an expert's result
  /// False of a key that experts were trained without: at its default it is no fact of theirs.
  bool is_fact_at_default = true;
  std::string help;  // one sentence

  std::string key() const { return section + "." + name; }
};

/// In the order of the sections and of the keys within them.
const std::vector<OptionInfo>& option_list();

/// All keys as "section.name", in order.
std::vector<std::string> option_keys();

/// The list as text, for --help.
std::string option_help();

}  // namespace baton::config
