#include "config_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "option_table.hpp"

namespace baton::config {
namespace {

namespace po = boost::program_options;

[[noreturn]] void fail(const std::string& summary, base::ErrorDetails details) {
  throw base::Error(base::ErrorKind::kUsage, summary, std::move(details));
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const auto& info : option_list()) {
    if (names.empty() || names.back() != info.section) {
      names.push_back(info.section);
    }
  }
  return names;
}

std::string did_you_mean(const std::string& suggestion) {
  return suggestion.empty() ? "" : fmt::format("did you mean {}?", suggestion);
}

/// A suggested "section.key" the way one writes it in a file, seen from `section`.
std::string did_you_mean_key(const std::string& section, const std::string& name) {
  const std::string key = suggest_key(section, name);
  if (key.empty()) {
    return "the keys are listed by 'baton train --help'";
  }
  const auto dot = key.find('.');
  const std::string right_section = key.substr(0, dot);
  const std::string right_name = key.substr(dot + 1);
  if (right_section == section) {
    return did_you_mean("'" + right_name + "'");
  }
  return right_name == name
             ? fmt::format("'{}' belongs to section [{}]", name, right_section)
             : did_you_mean(fmt::format("'{}' of section [{}]", right_name, right_section));
}

void check_characters(const std::string& text, const std::string& where) {
  if (const auto offset = base::find_invalid_utf8(text)) {
    fail("the config is not UTF-8",
         {where, "UTF-8 text", fmt::format("an invalid byte at column {}", *offset + 1),
          "save the file as UTF-8"});
  }
  const auto control = std::find_if(text.begin(), text.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
  });
  if (control != text.end()) {
    fail("the config holds a control character",
         {where, "printable text",
          fmt::format("byte 0x{:02x} at column {}", static_cast<unsigned char>(*control),
                      control - text.begin() + 1),
          "remove it"});
  }
}

std::string read_section(const std::string& line, const std::string& where) {
  if (line.back() != ']') {
    fail("a section header is not closed",
         {where, "[section]", line, "add ']' at the end of the line"});
  }
  const std::string name = base::trim(std::string_view(line).substr(1, line.size() - 2));
  const auto names = section_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    const auto nearest = base::nearest_name(name, names);
    fail(fmt::format("unknown section [{}]", name),
         {where, "one of " + base::join(names, ", "), name,
          nearest ? fmt::format("did you mean [{}]?", *nearest) : ""});
  }
  return name;
}

struct Line {
  std::string text;     // trimmed
  std::string section;  // "" before the first header
  std::string where;
};

/// What to do about a line without "=", which YAML and JSON have many of.
std::string hint_of(const std::string& text, const std::string& section) {
  const auto colon = text.find(':');
  const std::string name = base::trim(std::string_view(text).substr(0, colon));
  if (text.starts_with("- ")) {
    return "this is no YAML: a list stands on one line, 'key = one, two, three'";
  }
  if (text == "---" || text == "{" || text == "}") {
    return "this is neither YAML nor JSON: write [section], then 'key = value'";
  }
  if (colon == std::string::npos) {
    return find_option(section + "." + text) != nullptr
               ? fmt::format("give it a value: '{} = ...'", text)
               : "";
  }
  const std::string value = base::trim(std::string_view(text).substr(colon + 1));
  return value.empty() ? fmt::format("this is no YAML: a section is written [{}]", name)
                       : fmt::format("this is no YAML: write '{} = {}'", name, value);
}

void add_line(GivenValues& values, const Line& line) {
  const auto equals = line.text.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail("a line of the config is no setting",
         {line.where, "key = value, [section], or a comment that starts with '#'", line.text,
          hint_of(line.text, line.section)});
  }
  const std::string name = base::trim(std::string_view(line.text).substr(0, equals));
  const std::string last = name.substr(name.rfind('.') + 1);
  if (line.section.empty()) {
    const std::string key = suggest_key("", last);
    fail(fmt::format("key '{}' stands outside of any section", name),
         {line.where, "a section header such as [train] above it", "none",
          key.empty() ? "" : fmt::format("did you mean [{}]?", key.substr(0, key.find('.')))});
  }
  const std::string key = line.section + "." + name;
  if (find_option(key) == nullptr) {
    const bool is_dotted = last != name;
    fail(fmt::format("unknown key '{}' in section [{}]", name, line.section),
         {line.where, "a key of that section", name,
          did_you_mean_key(is_dotted ? name.substr(0, name.rfind('.')) : line.section, last) +
              (is_dotted ? " In a file the section stands above its keys, not before the dot."
                         : "")});
  }
  const std::string value = base::trim(std::string_view(line.text).substr(equals + 1));
  const auto [place, is_new] = values.insert({key, {value, line.where}});
  if (!is_new) {
    fail(fmt::format("key '{}' of section [{}] is set twice", name, line.section),
         {fmt::format("{} and {}", place->second.origin, line.where), "each key once",
          fmt::format("'{}' and '{}'", place->second.text, value), "remove one of the two lines"});
  }
}

/// One problem stands for itself; of several each is a line of one error.
void fail_with(const std::vector<base::Error>& problems, const std::string& where) {
  if (problems.empty()) {
    return;
  }
  if (problems.size() == 1) {
    throw problems.front();
  }
  constexpr std::size_t kMostShown = 20;
  std::string list;
  for (std::size_t i = 0; i < problems.size() && i < kMostShown; ++i) {
    const base::ErrorDetails& details = problems[i].details();
    list += fmt::format("\n    {}: {}{}", details.where, problems[i].summary(),
                        details.fix.empty() ? "" : "; " + details.fix);
  }
  if (problems.size() > kMostShown) {
    list += fmt::format("\n    and {} more", problems.size() - kMostShown);
  }
  fail(fmt::format("{} mistakes in the config", problems.size()),
       {where, "", list, "'baton train --help' lists every key"});
}

po::options_description describe_keys() {
  po::options_description description;
  for (const auto& info : option_list()) {
    description.add_options()(info.key().c_str(), po::value<std::string>(), info.help.c_str());
  }
  return description;
}

po::parsed_options as_parsed(const GivenValues& values,
                             const po::options_description& description) {
  po::parsed_options parsed(&description);
  for (const auto& [key, value] : values) {
    parsed.options.emplace_back(key, std::vector<std::string>{value.text});
  }
  return parsed;
}

}  // namespace

GivenValues read_config_text(const std::string& text, const std::string& origin) {
  GivenValues values;
  std::vector<base::Error> problems;
  std::string section;
  bool is_known = true;
  std::size_t number = 0;
  std::size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  while (begin < text.size()) {
    const auto end = std::min(text.find('\n', begin), text.size());
    std::string raw = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (!raw.empty() && raw.back() == '\r') {
      raw.pop_back();
    }
    const std::string where = fmt::format("{} line {}", origin, number);
    check_characters(raw, where);
    const std::string line = base::trim(raw);
    if (line.empty() || line.front() == '#') {
      continue;
    }
    try {
      if (line.front() == '[') {
        is_known = false;
        section = read_section(line, where);
        is_known = true;
      } else if (is_known) {  // keys of an unknown section are not problems of their own
        add_line(values, {line, section, where});
      }
    } catch (const base::Error& problem) {
      problems.push_back(problem);
    }
  }
  fail_with(problems, origin);
  return values;
}

GivenValues read_overrides(std::span<const Override> overrides) {
  GivenValues values;
  std::vector<base::Error> problems;
  for (const auto& item : overrides) {
    check_characters(item.value, item.origin);
    if (find_option(item.key) == nullptr) {
      const auto dot = item.key.find('.');
      const std::string section = dot == std::string::npos ? "" : item.key.substr(0, dot);
      const std::string key = suggest_key(section, item.key.substr(dot + 1));
      problems.emplace_back(
          base::ErrorKind::kUsage, fmt::format("unknown key '{}'", item.key),
          base::ErrorDetails{item.origin, "section.key=value", item.key,
                             key.empty() ? "the keys are listed by 'baton train --help'"
                                         : did_you_mean("'" + key + "'")});
      continue;
    }
    const auto [place, is_new] = values.insert({item.key, {base::trim(item.value), item.origin}});
    if (!is_new) {
      fail(fmt::format("key '{}' is given twice on the command line", item.key),
           {"command line", "each key once",
            fmt::format("{} and {}", place->second.origin, item.origin), "remove one of the two"});
    }
  }
  fail_with(problems, "command line");
  return values;
}

GivenValues merge(const GivenValues& file, const GivenValues& overrides) {
  const auto description = describe_keys();
  po::variables_map values;
  po::store(as_parsed(overrides, description), values);  // what is stored first stands
  po::store(as_parsed(file, description), values);
  GivenValues merged;
  for (const auto& [key, value] : values) {
    const auto from_line = overrides.find(key);
    merged[key] = {value.as<std::string>(),
                   (from_line != overrides.end() ? from_line : file.find(key))->second.origin};
  }
  return merged;
}

}  // namespace baton::config
