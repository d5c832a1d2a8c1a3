#pragma once
// The explicit list of commands and their flags: what the parser accepts and what help prints.

#include <optional>
#include <string>
#include <vector>

#include "baton/config/cli.hpp"

namespace baton::config {

enum class FlagKind { kSwitch, kValue, kRepeated };

struct FlagSpec {
  std::string name;  // without dashes
  FlagKind kind = FlagKind::kValue;
  std::string value;  // what the help calls its value: "FILE"
  std::string help;
  bool is_required = false;
};

struct CommandSpec {
  std::string name;
  Verb verb;
  std::string summary;
  std::string argument;  // what help calls the positional argument; empty = takes none
  std::vector<FlagSpec> flags;
  std::optional<Purpose> purpose;  // takes --set and --section.key for this purpose
  std::vector<std::string> examples;
};

const std::vector<CommandSpec>& command_table();
const CommandSpec* find_command(const std::string& name);
std::vector<std::string> command_names();

std::string general_help();
std::string command_help(const CommandSpec& command);
std::string usage_line(const CommandSpec& command);

}  // namespace baton::config
