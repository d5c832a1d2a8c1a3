// Mistral 7B and what is built like it: transformers' MistralConfig. Llama with a window over the keys
// of every layer where config.json has one (version 0.1), and never a bias.
#include "../family.hpp"

namespace baton::weights {
namespace {

class MistralFamily : public Family {
 public:
  std::string model_type() const override { return "mistral"; }
  std::string architecture() const override { return "MistralForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    require_activation(object, Activation::kSilu);
    require_key(object, "num_key_value_heads");
    read_llama_keys(object, config);
    require_boolean(object, "attention_bias", false);
    require_boolean(object, "mlp_bias", false);
    if (object.find("layer_types") != nullptr) {
      object.fail("layer_types", "no such key: every layer has the same window",
                  shown(*object.find("layer_types")), "Choose another base model.");
    }
    const std::int64_t window = sliding_window(object);
    read_windows(
        object, window, [&](std::int64_t) { return window != 0; }, config);
  }
};

}  // namespace

const Family& mistral_family() {
  static const MistralFamily kFamily;
  return kFamily;
}

}  // namespace baton::weights
