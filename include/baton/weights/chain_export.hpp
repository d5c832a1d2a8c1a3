#pragma once
// A whole chain as a folder that needs no Baton: a PEFT adapter folder an expert, chain.json (order,
// thresholds, indicators, how a prompt is built, when an answer ends) and run_chain.py, which asks
// the chain with transformers and PEFT. Used by `baton export`. Knows no model and no HDF5.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"
#include "baton/expert/indicators.hpp"

namespace baton::weights {

inline constexpr std::int64_t kChainFormat = 1;

/// How the text of a question becomes ids: before + text + after.
struct ChainPrompt {
  std::string name;  // of the template
  std::vector<std::int32_t> before;
  std::string lead;           // stands before the text and is encoded with it
  bool trims_text = false;    // white space at both ends of the text goes first
  bool is_beginning = false;  // the text gets the mark that some tokenizers put before a text
  std::vector<std::int32_t> after;
  std::string sample;                    // a text that holds what is difficult,
  std::vector<std::int32_t> sample_ids;  // and its whole prompt, not cut
};

struct ChainBase {
  std::string folder;  // as the run's config names it
  std::string fingerprint;
  std::string dtype;
};

struct ChainMember {
  std::string name;    // of the expert
  std::string folder;  // "01-qa"
  double threshold = 0;
};

struct ChainFacts {
  std::string method;
  std::string router;
  bool takes_first = true;  // else all are asked and the one farthest above its threshold answers
  expert::Indicators indicators;
  std::string accept_text;  // the indicators' spelling
  std::string pass_text;
  std::vector<ChainMember> experts;  // oldest first
  ChainPrompt prompt;
  std::int64_t cutoff_len = 0;  // of a prompt, in tokens; 0: no limit
  std::int64_t max_new_tokens = 0;
  std::vector<std::int64_t> stop_ids;
  ChainBase base;
};

/// Writes the folder; `load` gives the expert at a place of facts.experts, one at a time. A folder
/// that holds anything but an earlier export of a chain is a kUsage error and stays as it is; an
/// earlier export is replaced. chain.json comes last: without it a folder is not whole.
void export_chain(const ChainFacts& facts,
                  const std::function<expert::ExpertState(std::size_t)>& load,
                  const std::filesystem::path& out);

}  // namespace baton::weights
