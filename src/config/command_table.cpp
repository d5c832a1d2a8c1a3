#include "command_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "baton/config/options.hpp"

namespace baton::config {
namespace {

const FlagSpec kConfig{"config", FlagKind::kValue, "FILE", "the config file", true};
const FlagSpec kRun{"run", FlagKind::kValue, "DIR", "the run folder", true};
const FlagSpec kJson{"json", FlagKind::kSwitch, "", "print JSON", false};

FlagSpec optional_flag(FlagSpec flag) {
  flag.is_required = false;
  return flag;
}

CommandSpec train_command() {
  return {"train",
          Verb::kTrain,
          "Trains the experts that are missing from the run folder, in parallel over the ranks.",
          "",
          {kConfig,
           {"replace", FlagKind::kRepeated, "NAME",
            "keep this task's old expert aside and train it anew, once; all: every task's", false},
           {"all-keys", FlagKind::kSwitch, "",
            "show every key at start, not only those that differ from the defaults", false}},
          Purpose::kTrain,
          {"baton train --config configs/quickstart.cfg",
           "mpirun -n 2 baton train --config configs/quickstart.cfg --set train.seed=7"}};
}

CommandSpec sweep_command() {
  return {
      "sweep",
      Verb::kSweep,
      "Trains and evaluates one config by several methods, seeds and task orders.",
      "",
      {kConfig,
       {"methods", FlagKind::kValue, "A,B", "values of method.method", true},
       {"seeds", FlagKind::kValue, "N", "how many, counted up from train.seed; default 1", false},
       {"orders", FlagKind::kValue, "1,2",
        "task orders: 1 is data.tasks as it stands, others are drawn; default 1", false}},
      Purpose::kTrain,
      {"mpirun -n 2 baton sweep --config configs/quickstart.cfg --methods see,replay,multitask "
       "--seeds 3"}};
}

CommandSpec eval_command() {
  return {
      "eval",
      Verb::kEval,
      "Fills the score matrix over all tasks and stages of a run.",
      "",
      {kRun,
       {"questions", FlagKind::kRepeated, "DIR",
        "instead, ask base and chain the multiple choice questions of this data folder", false},
       {"export-predictions", FlagKind::kValue, "FILE",
        "also write the chain's answers as samples of lm-evaluation-harness; nothing is evaluated "
        "anew where the evaluation is there",
        false}},
      Purpose::kEval,
      {"mpirun -n 2 baton eval --run runs/quickstart --set data.max_eval_samples=100",
       "baton eval --run runs/quickstart --export-predictions samples.jsonl",
       "baton eval --run runs/quickstart --questions data/mmlu"}};
}

CommandSpec ask_command() {
  return {"ask",
          Verb::kAsk,
          "Answers one prompt, and says who answered.",
          "PROMPT",
          {optional_flag(kRun),
           {"model", FlagKind::kValue, "DIR", "ask this base model alone, instead of --run", false},
           kJson,
           {"jsonl", FlagKind::kSwitch, "",
            "read one JSON object with \"prompt\" a line from stdin", false}},
          Purpose::kAsk,
          {"baton ask --run runs/quickstart \"Is this review positive? I loved every minute.\"",
           "baton ask --run runs/quickstart --json --jsonl < prompts.jsonl"}};
}

CommandSpec plan_command() {
  return {"plan",
          Verb::kPlan,
          "Shows groups, waves, memory and steps for a cluster; trains nothing.",
          "",
          {kConfig,
           {"ranks", FlagKind::kValue, "N", "number of ranks", true},
           {"ranks-per-node", FlagKind::kValue, "M", "ranks on one machine; default: all", false},
           {"gpu", FlagKind::kValue, "NAMES",
            "estimate the hours on these GPUs: all, or h100,a100-80,...", false}},
          Purpose::kPlan,
          {"baton plan --config configs/quickstart.cfg --ranks 16 --ranks-per-node 8"}};
}

std::vector<CommandSpec> make_table() {
  return {
      train_command(),
      eval_command(),
      sweep_command(),
      ask_command(),
      plan_command(),
      {"inspect",
       Verb::kInspect,
       "Shows what a run folder or one HDF5 file holds; needs no model.",
       "PATH",
       {kJson},
       std::nullopt,
       {"baton inspect runs/quickstart", "baton inspect runs/quickstart/experts/01-qa.h5 --json"}},
      {"export",
       Verb::kExport,
       "Writes one expert as an adapter folder that PEFT loads, or the whole chain as such folders "
       "and a program that asks them.",
       "",
       {kRun,
        {"expert", FlagKind::kValue, "NAME", "the task's name; without it the whole chain", false},
        {"out", FlagKind::kValue, "DIR", "the folder to write", true}},
       std::nullopt,
       {"baton export --run runs/quickstart --out chain",
        "baton export --run runs/quickstart --expert qa --out qa-adapter"}},
      {"calibrate",
       Verb::kCalibrate,
       "Sets the thresholds of a finished run anew, from its experts' held-out rows.",
       "",
       {kRun,
        {"target", FlagKind::kValue, "GOAL",
         "balanced (the default), false_accept=0.05, cost=5, or trained: as they were", false}},
       std::nullopt,
       {"baton calibrate --run runs/quickstart --target false_accept=0.05"}},
      {"report",
       Verb::kReport,
       "Sets evaluated runs side by side: one HTML page, and its tables as Markdown, CSV, LaTeX.",
       "",
       {{"run", FlagKind::kRepeated, "DIR",
         "a run folder; the first is what others are set against", true},
        {"out", FlagKind::kValue, "FILE", "the page; default: report.html of the first run",
         false}},
       std::nullopt,
       {"baton report --run runs/quickstart",
        "baton report --run runs/see --run runs/replay --out report.html"}},
      {"tokenize",
       Verb::kTokenize,
       "Turns stdin lines into token ids, one JSON array a line.",
       "",
       {{"model", FlagKind::kValue, "DIR", "the model folder", true}},
       std::nullopt,
       {"echo Hello | baton tokenize --model models/smollm2"}},
      {"doctor",
       Verb::kDoctor,
       "Looks at the machines of a run: what is wrong and what to do.",
       "",
       {{"run", FlagKind::kValue, "DIR", "a run folder, made or to be made", false},
        {"dir", FlagKind::kValue, "DIR", "any folder that runs go to; default: this one", false},
        kJson},
       std::nullopt,
       {"baton doctor --dir runs", "mpirun -n 4 baton doctor --run runs/quickstart"}},
  };
}

std::string keys_note(const CommandSpec& command) {
  if (!command.purpose) {
    return "";
  }
  switch (*command.purpose) {
    case Purpose::kEval:
      return "\nKeys that may be set: eval.*, cluster.*, method.router, method.gate_steps,\n"
             "method.gate_learning_rate, method.top_k, data.max_new_tokens, "
             "data.max_eval_samples\n";
    case Purpose::kAsk:
    case Purpose::kAskModel:
      return "\nKeys that may be set: cluster.*, eval.eval_batch_size (prompts at a time), "
             "data.max_new_tokens;\n"
             "with --run also method.router, gate_steps, gate_learning_rate, top_k; with --model "
             "model.dtype, data.template, "
             "data.cutoff_len\n";
    case Purpose::kTrain:
    case Purpose::kPlan:
      return "\nKeys of the config file (\"key = value\" under \"[section]\"; '#' at the start of "
             "a line\n"
             "opens a comment; lists are comma-separated):\n\n" +
             option_help();
  }
  return "";
}

}  // namespace

const std::vector<CommandSpec>& command_table() {
  static const std::vector<CommandSpec> kTable = make_table();
  return kTable;
}

const CommandSpec* find_command(const std::string& name) {
  const auto& table = command_table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const CommandSpec& spec) { return spec.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& spec : command_table()) {
    names.push_back(spec.name);
  }
  return names;
}

std::string usage_line(const CommandSpec& command) {
  std::string line = "baton " + command.name;
  for (const auto& flag : command.flags) {
    const std::string shown = "--" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
    line +=
        flag.is_required
            ? " " + shown + (flag.kind == FlagKind::kRepeated ? fmt::format(" [{}]...", shown) : "")
            : fmt::format(" [{}]{}", shown, flag.kind == FlagKind::kRepeated ? "..." : "");
  }
  if (command.purpose) {
    line += " [--set section.key=value]...";
  }
  if (!command.argument.empty()) {
    line += command.verb == Verb::kAsk ? " [" + command.argument + "]" : " " + command.argument;
  }
  return line;
}

std::string command_help(const CommandSpec& command) {
  std::string text = fmt::format("{}\n\nUsage: {}\n\n", command.summary, usage_line(command));
  const auto add = [&](const std::string& name, const std::string& help) {
    text += fmt::format("  {:<26} {}\n", name, help);
  };
  for (const auto& flag : command.flags) {
    add("--" + flag.name + (flag.value.empty() ? "" : " " + flag.value), flag.help);
  }
  if (command.purpose) {
    add("--set section.key=value", "set a config key; also --section.key=value");
  }
  add("--help", "this text");
  text += "\nExample:\n";
  for (const auto& example : command.examples) {
    text += "  " + example + "\n";
  }
  return text + keys_note(command);
}

std::string general_help() {
  std::string text =
      "Baton: continual fine-tuning of language models as a sequential ensemble of LoRA "
      "experts.\n\n"
      "Usage: baton COMMAND [flags]      (under mpirun or srun, or alone)\n\n";
  for (const auto& command : command_table()) {
    text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  }
  text +=
      "\n  baton COMMAND --help   flags and examples of a command\n"
      "  baton --version        the version\n"
      "\nExample:\n"
      "  mpirun -n 2 baton train --config configs/quickstart.cfg\n"
      "  baton ask --run runs/quickstart \"Translate to French: good morning\"\n"
      "\nExit codes: 0 done, 2 usage or config, 3 data, 4 model or checkpoint file, 5 storage,\n"
      "6 communication, 7 non-finite training, 8 hang, 70 internal error, 75 stopped: run again to "
      "go on.\n";
  return text;
}

}  // namespace baton::config
