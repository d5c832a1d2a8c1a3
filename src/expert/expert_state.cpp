#include "baton/expert/expert_state.hpp"

#include <algorithm>
#include <array>

#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"

namespace baton::expert {

std::string Identity::fingerprint() const {
  base::Sha256 digest;
  digest.add_field("baton expert identity, version 1");
  for (const auto& [name, value] : facts_) {
    digest.add_field(name).add_field(value);
  }
  return digest.hex();
}

std::vector<std::string> describe_differences(const Identity& expected, const Identity& found) {
  std::map<std::string, std::array<const std::string*, 2>> both;
  for (const auto& [name, value] : expected.facts()) {
    both[name][0] = &value;
  }
  for (const auto& [name, value] : found.facts()) {
    both[name][1] = &value;
  }
  const auto shown = [](const std::string* value) -> std::string {
    if (value == nullptr) {
      return "nothing";
    }
    return value->empty() ? "(empty)" : *value;
  };
  std::vector<std::string> lines;
  for (const auto& [name, values] : both) {
    const bool equal = values[0] != nullptr && values[1] != nullptr && *values[0] == *values[1];
    if (!equal) {
      lines.push_back(name + ": expected " + shown(values[0]) + ", found " + shown(values[1]));
    }
  }
  return lines;
}

std::optional<Indicators> indicators_of(const ExpertState& state) {
  if (state.accept_token_id < 0) {
    return std::nullopt;
  }
  return Indicators{.accept = state.accept_token_id, .pass = state.pass_token_id};
}

const std::vector<std::string>& lora_target_names() {
  static const std::vector<std::string> kNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                  "gate_proj", "up_proj", "down_proj"};
  return kNames;
}

namespace {

std::string module_key(std::int64_t layer, const std::string& module) {
  const std::vector<std::string>& names = lora_target_names();
  const auto place = std::find(names.begin(), names.end(), module);
  BATON_ASSERT(layer >= 0 && place != names.end(),
               "layer " + std::to_string(layer) + ", module " + module);
  const char* parent = place - names.begin() < 4 ? "self_attn" : "mlp";
  return "base_model.model.model.layers." + std::to_string(layer) + "." + parent + "." + module;
}

}  // namespace

std::string peft_key(std::int64_t layer, const std::string& module, char factor) {
  BATON_ASSERT(factor == 'A' || factor == 'B', std::string("factor ") + factor);
  return module_key(layer, module) + ".lora_" + factor + ".weight";
}

std::string gate_key(std::int64_t layer, const std::string& module) {
  return module_key(layer, module) + ".gate";
}

}  // namespace baton::expert
