#include "baton/config/cli.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <map>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/config/options.hpp"
#include "command_table.hpp"
#include "option_table.hpp"
#include "value_types.hpp"

namespace baton::config {
namespace {

namespace po = boost::program_options;

struct ParsedLine {
  std::map<std::string, std::vector<std::string>> flags;  // a switch has no value
  std::vector<std::string> arguments;
  std::vector<Override> overrides;
};

[[noreturn]] void fail(const std::string& summary, base::ErrorDetails details) {
  throw base::Error(base::ErrorKind::kUsage, summary, std::move(details));
}

std::string help_hint(const CommandSpec& command) {
  return fmt::format("see 'baton {} --help'", command.name);
}

po::options_description describe_flags(const CommandSpec& command) {
  po::options_description description;
  const auto add = [&](const std::string& name, bool has_value) {
    if (has_value) {
      description.add_options()(name.c_str(), po::value<std::string>(), "");
    } else {
      description.add_options()(name.c_str(), "");
    }
  };
  for (const auto& flag : command.flags) {
    add(flag.name, flag.kind != FlagKind::kSwitch);
  }
  if (command.purpose) {
    add("set", true);
    for (const auto& key : option_keys()) {
      add(key, true);
    }
  }
  return description;
}

[[noreturn]] void fail_unknown_flag(const CommandSpec& command, const std::string& typed) {
  const std::string name = typed.substr(std::min(typed.find_first_not_of('-'), typed.size()));
  std::vector<std::string> known = {"help"};
  for (const auto& flag : command.flags) {
    known.push_back(flag.name);
  }
  std::string nearest = base::nearest_name(name, known).value_or("");
  if (command.purpose && nearest.empty()) {
    const auto dot = name.find('.');
    nearest = dot == std::string::npos ? suggest_key("", name)
                                       : suggest_key(name.substr(0, dot), name.substr(dot + 1));
  }
  std::string fix =
      nearest.empty() ? help_hint(command) : fmt::format("did you mean '--{}'?", nearest);
  if (command.verb == Verb::kAsk) {
    fix += "; a prompt that starts with '-' goes behind a lone '--'";
  }
  fail(fmt::format("unknown flag '{}'", typed), {"command line", usage_line(command), typed, fix});
}

[[noreturn]] void fail_syntax(const CommandSpec& command,
                              const po::invalid_command_line_syntax& error) {
  const std::string name = error.get_option_name();
  const bool has_extra = error.kind() == po::invalid_syntax::extra_parameter;
  fail(has_extra ? fmt::format("flag '{}' takes no value", name)
                 : fmt::format("flag '{}' needs a value", name),
       {"command line", usage_line(command), has_extra ? "a value" : "none", help_hint(command)});
}

std::vector<po::option> split_flags(const CommandSpec& command,
                                    const std::vector<std::string>& typed) {
  const auto description = describe_flags(command);
  namespace style = po::command_line_style;
  try {
    return po::command_line_parser(typed)
        .options(description)
        .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
        .run()
        .options;
  } catch (const po::unknown_option& error) {
    fail_unknown_flag(command, error.get_option_name());
  } catch (const po::invalid_command_line_syntax& error) {
    fail_syntax(command, error);
  } catch (const po::error& error) {
    fail("the command line cannot be read",
         {"command line", usage_line(command), error.what(), help_hint(command)});
  }
}

void add_override(ParsedLine& line, const std::string& flag, const std::string& value) {
  if (flag != "set") {
    line.overrides.push_back({flag, value, fmt::format("--{}={}", flag, value)});
    return;
  }
  const auto equals = value.find('=');
  const std::string origin = "--set " + value;
  if (equals == std::string::npos || equals == 0) {
    fail("--set needs a key and a value", {origin, "--set section.key=value", value, ""});
  }
  line.overrides.push_back(
      {base::trim(std::string_view(value).substr(0, equals)), value.substr(equals + 1), origin});
}

void add_flag(ParsedLine& line, const CommandSpec& command, const po::option& option) {
  const auto spec =
      std::find_if(command.flags.begin(), command.flags.end(),
                   [&](const FlagSpec& flag) { return flag.name == option.string_key; });
  if (spec == command.flags.end()) {
    add_override(line, option.string_key, option.value.at(0));
    return;
  }
  auto& values = line.flags[spec->name];
  if (!values.empty() && spec->kind != FlagKind::kRepeated) {
    fail(fmt::format("flag '--{}' is given twice", spec->name),
         {"command line", "it once", "", ""});
  }
  if (spec->kind == FlagKind::kSwitch) {
    values.push_back("");
    return;
  }
  if (option.value.at(0).empty()) {
    fail(fmt::format("flag '--{}' needs a value", spec->name),
         {"command line", spec->value, "nothing", help_hint(command)});
  }
  values.push_back(option.value.at(0));
}

// Boost takes whatever follows as the value, the next flag included.
void check_own_value(const CommandSpec& command, const po::option& option) {
  if (option.original_tokens.size() > 1 && option.value.at(0).starts_with("--")) {
    const std::string& flag = option.original_tokens.front();
    fail(fmt::format("flag '{}' needs a value", flag),
         {"command line", usage_line(command), "the flag " + option.value.at(0),
          fmt::format("give one; a value that starts with '--' is written {}=VALUE", flag)});
  }
}

ParsedLine parse_line(const CommandSpec& command, std::span<const std::string> typed) {
  // What follows a lone "--" is argument, whatever it looks like.
  const auto dashes = std::find(typed.begin(), typed.end(), "--");
  ParsedLine line;
  for (const auto& option : split_flags(command, {typed.begin(), dashes})) {
    if (option.position_key < 0) {
      check_own_value(command, option);
      add_flag(line, command, option);
      continue;
    }
    const std::string& text = option.value.at(0);
    if (text.size() > 1 && text[0] == '-') {
      fail_unknown_flag(command, text);
    }
    line.arguments.push_back(text);
  }
  if (dashes != typed.end()) {
    line.arguments.insert(line.arguments.end(), dashes + 1, typed.end());
  }
  return line;
}

void check_line(const CommandSpec& command, const ParsedLine& line) {
  for (const auto& flag : command.flags) {
    if (flag.is_required && !line.flags.contains(flag.name)) {
      fail(fmt::format("'baton {}' needs --{}", command.name, flag.name),
           {"command line", usage_line(command), fmt::format("no --{}", flag.name),
            "for example: " + command.examples.front()});
    }
  }
  const std::size_t most = command.argument.empty() ? 0 : 1;
  if (line.arguments.size() > most) {
    fail(fmt::format("unexpected argument '{}'", line.arguments[most]),
         {"command line", usage_line(command), fmt::format("{} arguments", line.arguments.size()),
          most == 0 ? help_hint(command)
                    : fmt::format("put {} in quotes if it has spaces", command.argument)});
  }
  if (command.verb == Verb::kDoctor && line.flags.contains("run") && line.flags.contains("dir")) {
    fail("--run and --dir exclude one another",
         {"command line", usage_line(command), "both", "give one of the two"});
  }
  if (line.flags.contains("questions") && line.flags.contains("export-predictions")) {
    fail("--export-predictions writes what the run's own queries were answered",
         {"command line", usage_line(command), "--questions as well",
          "leave --questions out; what it finds is in eval/questions.jsonl of the run"});
  }
  if (command.verb == Verb::kInspect && line.arguments.empty()) {
    fail("'baton inspect' needs a path",
         {"command line", usage_line(command), "none", "for example: " + command.examples.front()});
  }
}

void check_ask(const CommandSpec& spec, const Command& command) {
  if (command.run.empty() == command.model.empty()) {
    fail(command.run.empty() ? "'baton ask' needs --run or --model"
                             : "--run and --model exclude one another",
         {"command line", usage_line(spec), command.run.empty() ? "neither" : "both",
          "for example: " + spec.examples.front()});
  }
  if (command.reads_jsonl && command.prompt) {
    fail("--jsonl reads prompts from stdin, so none can be given as argument",
         {"command line", usage_line(spec), "both", "leave one of the two out"});
  }
}

std::int64_t read_count(const ParsedLine& line, const std::string& flag) {
  const IntegerRange range{1, 1'000'000};
  const std::string& text = line.flags.at(flag).front();
  const auto value = parse_number<std::int64_t>(text);
  if (!value || *value < range.low || *value > range.high) {
    fail(fmt::format("bad value of --{}", flag),
         {"command line", range.describe(), "'" + text + "'", ""});
  }
  return *value;
}

Command make_command(const CommandSpec& spec, const ParsedLine& line) {
  const auto value = [&](const std::string& flag) {
    const auto found = line.flags.find(flag);
    return found == line.flags.end() ? std::string() : found->second.front();
  };
  Command command;
  command.verb = spec.verb;
  command.config_file = value("config");
  command.run = value("run");
  command.model = value("model");
  command.path = value("dir");
  command.out = value("out");
  command.export_predictions = value("export-predictions");
  command.expert = value("expert");
  command.methods = value("methods");
  command.orders = line.flags.contains("orders") ? value("orders") : "1";
  command.seeds = line.flags.contains("seeds") ? value("seeds") : "1";
  command.target = line.flags.contains("target") ? value("target") : "balanced";
  command.gpus = value("gpu");
  command.overrides = line.overrides;
  command.as_json = line.flags.contains("json");
  command.shows_all_keys = line.flags.contains("all-keys");
  command.reads_jsonl = line.flags.contains("jsonl");
  if (const auto replace = line.flags.find("replace"); replace != line.flags.end()) {
    command.replace = replace->second;
  }
  if (const auto runs = line.flags.find("run"); runs != line.flags.end()) {
    command.runs.assign(runs->second.begin(), runs->second.end());
  }
  if (const auto folders = line.flags.find("questions"); folders != line.flags.end()) {
    command.question_folders.assign(folders->second.begin(), folders->second.end());
  }
  if (line.flags.contains("ranks")) {
    command.num_ranks = read_count(line, "ranks");
  }
  if (line.flags.contains("ranks-per-node")) {
    command.num_ranks_per_node = read_count(line, "ranks-per-node");
  }
  if (!line.arguments.empty() && command.verb == Verb::kInspect) {
    command.path = line.arguments.front();
  } else if (!line.arguments.empty()) {
    command.prompt = line.arguments.front();
  }
  return command;
}

Command printed(Verb verb, std::string text) {
  Command command;
  command.verb = verb;
  command.text = std::move(text);
  return command;
}

bool asks_for_help(std::span<const std::string> typed) {
  const auto dashes = std::find(typed.begin(), typed.end(), "--");
  return std::any_of(typed.begin(), dashes,
                     [](const auto& text) { return text == "--help" || text == "-h"; });
}

const CommandSpec& command_of(const std::string& name) {
  const auto* spec = find_command(name);
  if (spec == nullptr) {
    const auto names = command_names();
    const auto nearest = base::nearest_name(name, names);
    fail(fmt::format("unknown {} '{}'", name.starts_with("-") ? "flag" : "command", name),
         {"command line", "one of " + base::join(names, ", "), name,
          nearest ? fmt::format("did you mean 'baton {}'?", *nearest) : "see 'baton --help'"});
  }
  return *spec;
}

}  // namespace

Command parse_command(std::span<const std::string> arguments) {
  if (arguments.empty()) {
    fail("no command given", {"command line", "one of " + base::join(command_names(), ", "),
                              "nothing", "see 'baton --help'"});
  }
  const std::string& name = arguments.front();
  const auto rest = arguments.subspan(1);
  if (name == "--version") {
    return printed(Verb::kVersion, "baton " + version() + "\n");
  }
  if (name == "--help" || name == "-h" || name == "help") {
    const bool names_command = name == "help" && !rest.empty() && !asks_for_help(rest);
    return printed(Verb::kHelp,
                   names_command ? command_help(command_of(rest.front())) : general_help());
  }
  const auto& spec = command_of(name);
  if (asks_for_help(rest)) {
    return printed(Verb::kHelp, command_help(spec));
  }
  const auto line = parse_line(spec, rest);
  check_line(spec, line);
  auto command = make_command(spec, line);
  if (command.verb == Verb::kAsk) {
    check_ask(spec, command);
  }
  if (spec.purpose) {
    const bool is_base_alone = command.verb == Verb::kAsk && !command.model.empty();
    check_overrides(command.overrides, is_base_alone ? Purpose::kAskModel : *spec.purpose);
  }
  return command;
}

std::string version() {
  return BATON_VERSION;
}

std::string verb_name(Verb verb) {
  if (verb == Verb::kHelp || verb == Verb::kVersion) {
    return verb == Verb::kHelp ? "help" : "version";
  }
  const auto& table = command_table();
  return std::find_if(table.begin(), table.end(),
                      [&](const auto& spec) { return spec.verb == verb; })
      ->name;
}

}  // namespace baton::config
