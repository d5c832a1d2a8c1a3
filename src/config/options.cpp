#include "baton/config/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "baton/base/text.hpp"
#include "option_table.hpp"

namespace baton::config {

const std::vector<OptionInfo>& option_list() {
  static const std::vector<OptionInfo> kList = [] {
    std::vector<OptionInfo> list;
    for (const auto& option : option_table()) {
      list.push_back(option.info);
    }
    return list;
  }();
  return kList;
}

std::vector<std::string> option_keys() {
  std::vector<std::string> keys;
  std::transform(option_list().begin(), option_list().end(), std::back_inserter(keys),
                 [](const OptionInfo& info) { return info.key(); });
  return keys;
}

std::string option_help() {
  std::string text;
  std::string section;
  for (const auto& info : option_list()) {
    if (info.section != section) {
      section = info.section;
      text += fmt::format("[{}]\n", section);
    }
    const std::string note =
        info.is_required
            ? "required"
            : fmt::format("default: {}", info.default_text.empty() ? "none" : info.default_text);
    text +=
        fmt::format("  {:<22} {}\n  {:<22} {} ({})\n", info.name, info.help, "", info.values, note);
  }
  return text;
}

std::string suggest_key(const std::string& section, const std::string& name) {
  std::vector<std::string> here;
  std::vector<std::string> names;
  for (const auto& info : option_list()) {
    names.push_back(info.name);
    if (info.section == section) {
      here.push_back(info.name);
    }
  }
  const auto key_of = [](const std::string& wanted) {
    const auto& list = option_list();
    return std::find_if(list.begin(), list.end(),
                        [&](const auto& info) { return info.name == wanted; })
        ->key();
  };
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return key_of(name);
  }
  if (const auto nearest = base::nearest_name(name, here)) {
    return section + "." + *nearest;
  }
  if (const auto nearest = base::nearest_name(name, names)) {
    return key_of(*nearest);
  }
  return "";
}

}  // namespace baton::config
