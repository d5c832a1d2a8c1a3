#pragma once
// One expert as plain values: named fp32 arrays and the facts needed to use it. The currency
// between trainer, files, model and export; it knows none of them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/expert/indicators.hpp"

namespace baton::expert {

/// A row-major fp32 array under PEFT's key, e.g.
/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" of shape [R, D].
struct NamedArray {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct RocPoint {
  double threshold = 0;            // an expert accepts where margin > threshold
  double true_positive_rate = 0;   // own held-out rows accepted
  double false_positive_rate = 0;  // foreign held-out rows accepted

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("threshold", self.threshold);
    visit("true_positive_rate", self.true_positive_rate);
    visit("false_positive_rate", self.false_positive_rate);
  }
};

/// What determines an expert: ordered name -> value. Two experts are the same experiment exactly
/// when these agree.
class Identity {
 public:
  void set(const std::string& name, const std::string& value) { facts_[name] = value; }
  const std::map<std::string, std::string>& facts() const { return facts_; }
  /// SHA-256 over all names and values.
  std::string fingerprint() const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("facts", self.facts_);
  }

 private:
  std::map<std::string, std::string> facts_;
};

/// One line per fact that differs: "learning_rate: expected 0.0002, found 0.0001".
std::vector<std::string> describe_differences(const Identity& expected, const Identity& found);

struct ExpertState {
  std::string task;
  Identity identity;
  std::string base_fingerprint;
  std::int64_t lora_rank = 0;
  double lora_alpha = 0;
  double lora_dropout = 0;
  std::vector<std::string> lora_target;  // "q_proj", ...
  std::string lora_activation = "full";  // "full" | "invocation"
  std::vector<std::int64_t> invocation_ids;
  std::int64_t accept_token_id = -1;
  std::int64_t pass_token_id = -1;
  double accept_threshold = 0;
  std::vector<RocPoint> roc;  // only with accept_threshold = auto
  std::string prompt_template;
  std::uint64_t seed = 0;
  std::int64_t steps = 0;
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<NamedArray> arrays;  // in a fixed order: layer, module, A then B

  /// The facts, everything but the arrays: the one list of them (base/wire.hpp), in the order and
  /// under the names of an expert's file.
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task", self.task);
    visit("identity", self.identity);
    visit("base_fingerprint", self.base_fingerprint);
    visit("lora_rank", self.lora_rank);
    visit("lora_alpha", self.lora_alpha);
    visit("lora_dropout", self.lora_dropout);
    visit("lora_target", self.lora_target);
    visit("lora_activation", self.lora_activation);
    visit("invocation_ids", self.invocation_ids);
    visit("accept_token_id", self.accept_token_id);
    visit("pass_token_id", self.pass_token_id);
    visit("accept_threshold", self.accept_threshold);
    visit("roc", self.roc);
    visit("template", self.prompt_template);
    visit("seed", self.seed);
    visit("steps", self.steps);
    visit("num_positive", self.num_positive);
    visit("num_negative", self.num_negative);
  }
};

/// Nothing for an expert of a method without them, whose two ids are -1.
std::optional<Indicators> indicators_of(const ExpertState& state);

/// The seven linears of a decoder layer LoRA can be put on, in the order their arrays are stored.
const std::vector<std::string>& lora_target_names();

/// PEFT's key of one factor: factor is 'A' or 'B', module one of lora_target_names().
std::string peft_key(std::int64_t layer, const std::string& module, char factor);
/// The same of a gate: "base_model.model.model.layers.0.self_attn.q_proj.gate".
std::string gate_key(std::int64_t layer, const std::string& module);

}  // namespace baton::expert
