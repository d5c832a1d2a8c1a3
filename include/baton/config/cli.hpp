#pragma once
// The command line as a value: which command, its flags, its config overrides. Used by main and the
// commands. Reads no file, starts nothing.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "baton/config/config.hpp"

namespace baton::config {

enum class Verb {
  kHelp,
  kVersion,
  kTrain,
  kEval,
  kAsk,
  kPlan,
  kInspect,
  kExport,
  kTokenize,
  kCalibrate,
  kReport,
  kSweep,
  kDoctor
};

/// Only the members of the verb at hand are set.
struct Command {
  Verb verb = Verb::kHelp;
  std::string text;                                     // help, version: what to print on stdout
  std::filesystem::path config_file;                    // train, plan, sweep
  std::filesystem::path run;                            // eval, ask, export, calibrate, doctor
  std::filesystem::path model;                          // ask (instead of run), tokenize
  std::filesystem::path path;                           // inspect: a run folder or one file; doctor
  std::filesystem::path out;                            // export, report
  std::vector<std::filesystem::path> runs;              // report
  std::filesystem::path export_predictions;             // eval: a file
  std::vector<std::filesystem::path> question_folders;  // eval: of questions with choices
  std::string expert;                                   // export: a task's name; "": the chain
  std::string methods;                                  // sweep: lists, as typed
  std::string orders;                                   // sweep
  std::string seeds;                                    // sweep: how many
  std::string target;                                   // calibrate
  std::vector<std::string> replace;                     // train: experts to train anew
  bool shows_all_keys = false;                          // train: the whole config at start
  std::vector<Override> overrides;                      // train, plan, eval, ask
  bool as_json = false;                                 // ask, inspect, doctor
  bool reads_jsonl = false;                             // ask
  std::optional<std::string> prompt;                    // ask; nothing = stdin
  std::string gpus;                                     // plan: names, as typed
  std::int64_t num_ranks = 0;                           // plan
  std::optional<std::int64_t> num_ranks_per_node;       // plan; nothing = all on one node
};

/// `arguments` without the program's name. Anything wrong is a kUsage error with the nearest name;
/// the names of overrides are checked here, their values when the config is made.
Command parse_command(std::span<const std::string> arguments);

/// "0.1.0"
std::string version();

/// The name of a verb, as typed.
std::string verb_name(Verb verb);

}  // namespace baton::config
