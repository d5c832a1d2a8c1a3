#pragma once
// Whether an expert can be used: its facts for themselves, as the entry of a run, and on a base
// model. Checksums only say that a file is as it was written. Every reader of an expert file asks
// here (checkpoint::load_expert), so inspect, ask, eval, export and train say the same.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::expert {

/// What of a base model an expert must fit.
struct BaseSizes {
  std::int64_t vocab_size = 0;
  std::int64_t num_layers = 0;
  /// (out, in) of a layer's seven linears, in the order of lora_target_names().
  std::vector<std::pair<std::int64_t, std::int64_t>> linear_shapes;
};

/// What the caller knows of an expert before he reads it.
struct Expected {
  std::string task = {};  // its name in run.json; empty: any
  /// Of the model it is to run on; without, shapes are only compared with one another.
  std::optional<BaseSizes> base = {};
};

/// The parts of a name that peft_key gives; nothing for any other name.
struct ArrayPlace {
  std::int64_t layer = 0;
  std::size_t module_index = 0;  // in lora_target_names()
  char factor = 'A';
};
std::optional<ArrayPlace> parse_peft_key(const std::string& name);

/// kModel, naming `file`, the fact, what was expected and what was found.
void check_expert(const ExpertState& state, const std::string& file, const Expected& expected);

}  // namespace baton::expert
