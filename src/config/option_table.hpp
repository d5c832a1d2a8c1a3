#pragma once
// The option list with its readers and writers. A reader throws ValueProblem, which the loader
// completes with the place of the value.

#include <functional>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/config/options.hpp"

namespace baton::config {

struct ValueProblem {
  std::string summary;   // empty: "bad value of KEY"
  std::string expected;  // empty: the option's own `values`
  std::string fix;       // may be empty
};

struct Option {
  OptionInfo info;
  std::function<void(Config&, const std::string&)> assign;
  std::function<std::string(const Config&)> text;
};

const std::vector<Option>& option_table();
const Option* find_option(const std::string& key);

/// The key a user most likely meant: in the same section first, then under the same name elsewhere,
/// then the nearest of all. Empty when nothing is near.
std::string suggest_key(const std::string& section, const std::string& name);

}  // namespace baton::config
