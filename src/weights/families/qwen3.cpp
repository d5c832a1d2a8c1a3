// Qwen 3, the dense ones: transformers' Qwen3Config. Llama with a norm over each head's queries and
// keys and a head size of its own.
#include "../family.hpp"

namespace baton::weights {
namespace {

class Qwen3Family : public Family {
 public:
  std::string model_type() const override { return "qwen3"; }
  std::string architecture() const override { return "Qwen3ForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    require_activation(object, Activation::kSilu);
    require_key(object, "num_key_value_heads");
    require_key(object, "head_dim");
    read_llama_keys(object, config);
    config.query_key_norm = true;
    set_bias(object.boolean_or("attention_bias", false), false, config);
    read_qwen_windows(object, config);
  }
};

}  // namespace

const Family& qwen3_family() {
  static const Qwen3Family kFamily;
  return kFamily;
}

}  // namespace baton::weights
