#include "baton/weights/chain_export.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <system_error>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/weights/peft_export.hpp"
#include "export_folder.hpp"
#include "run_chain_text.hpp"

namespace baton::weights {
namespace {

base::OrderedJson indicator_json(const std::string& text, std::int64_t id) {
  return {{"text", text}, {"token_id", id}};
}

base::OrderedJson prompt_json(const ChainPrompt& prompt) {
  return {{"template", prompt.name},
          {"before_ids", prompt.before},
          {"before_text", prompt.lead},
          {"trims_text", prompt.trims_text},
          {"is_beginning", prompt.is_beginning},
          {"after_ids", prompt.after},
          {"sample", {{"text", prompt.sample}, {"ids", prompt.sample_ids}}}};
}

// The name alone: a chain may be asked where its base lies elsewhere. PEFT's own files say the path.
std::string name_of(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

base::OrderedJson chain_json(const ChainFacts& facts, const base::OrderedJson& experts) {
  base::OrderedJson json;
  json["format"] = kChainFormat;
  json["method"] = facts.method;
  json["router"] = facts.router;
  json["rule"] = facts.takes_first ? "first" : "surest";
  json["order"] = base::OrderedJson::array();
  for (const ChainMember& expert : facts.experts) {
    json["order"].push_back(expert.name);
  }
  json["indicators"] = {{"accept", indicator_json(facts.accept_text, facts.indicators.accept)},
                        {"pass", indicator_json(facts.pass_text, facts.indicators.pass)}};
  json["experts"] = experts;
  json["prompt"] = prompt_json(facts.prompt);
  json["cutoff_len"] = facts.cutoff_len;
  json["max_new_tokens"] = facts.max_new_tokens;
  json["stop_ids"] = facts.stop_ids;
  json["base_model"] = {{"name", name_of(facts.base.folder)},
                        {"folder", facts.base.folder},
                        {"fingerprint", facts.base.fingerprint},
                        {"dtype", facts.base.dtype}};
  return json;
}

std::string readme(const ChainFacts& facts) {
  std::string text = fmt::format(
      "{}\n\n# A chain of {} experts\n\n"
      "Each folder is a LoRA adapter that PEFT loads; together they answer as a chain over the "
      "base model `{}`.\n"
      "`chain.json` says how: the order, each expert's threshold, the indicators, how a prompt is "
      "built, where an\n"
      "answer ends. `run_chain.py` does it with transformers and PEFT:\n\n"
      "```\n"
      "python run_chain.py \"a prompt\"\n"
      "python run_chain.py --model path/of/the/base/model < prompts.jsonl > answers.jsonl\n"
      "```\n\n"
      "Each line in is a JSON object with a `prompt`, each line out one with `answer`, `route`, "
      "`expert` and the\n"
      "margins of the experts that were asked. One adapter alone answers `{}` (or `{}`) first: "
      "that word is what a\n"
      "chain is routed by, and no part of the answer.\n\n"
      "| place | expert | accepts where margin > |\n|---|---|---|\n",
      kExportMark, facts.experts.size(), name_of(facts.base.folder), facts.accept_text,
      facts.pass_text);
  for (std::size_t i = 0; i < facts.experts.size(); ++i) {
    text += fmt::format("| {} | `{}` | {} |\n", i + 1, facts.experts[i].name,
                        facts.experts[i].threshold);
  }
  return text;
}

void remove_old(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) {
    throw base::Error(base::ErrorKind::kStorage, "cannot remove what an earlier export wrote",
                      {.where = path.string(),
                       .expected = "",
                       .found = error.message(),
                       .fix = "give another folder, or remove it yourself"});
  }
}

// Folders of an earlier export that this one has no expert for.
void remove_others(const ChainFacts& facts, const std::filesystem::path& out) {
  std::set<std::string> ours;
  for (const ChainMember& expert : facts.experts) {
    ours.insert(expert.folder);
  }
  for (const auto& entry : std::filesystem::directory_iterator(out)) {
    if (entry.is_directory() && !ours.contains(entry.path().filename().string())) {
      remove_old(entry.path());
    }
  }
}

}  // namespace

void export_chain(const ChainFacts& facts,
                  const std::function<expert::ExpertState(std::size_t)>& load,
                  const std::filesystem::path& out) {
  check_out_folder(out, chain_export());
  base::make_directories(out);
  // The marked README comes first: a folder left half written can then be written again.
  base::write_file_atomically(out / kExportReadme, readme(facts));
  remove_old(out / kChainFacts);
  remove_others(facts, out);
  base::OrderedJson experts = base::OrderedJson::array();
  for (std::size_t i = 0; i < facts.experts.size(); ++i) {
    const ChainMember& member = facts.experts[i];
    const expert::ExpertState state = load(i);
    PeftExportOptions options;
    options.base_model = facts.base.folder;
    options.accept_text = facts.accept_text;
    options.pass_text = facts.pass_text;
    options.threshold = member.threshold;
    export_peft(state, out / member.folder, options);
    experts.push_back({{"name", member.name},
                       {"folder", member.folder},
                       {"threshold", member.threshold},
                       {"trained_threshold", state.accept_threshold}});
  }
  base::write_file_atomically(out / kChainRunner, kRunChainText);
  base::write_file_atomically(out / kChainFacts, chain_json(facts, experts).dump(2) + "\n");
}

}  // namespace baton::weights
