// Llama 1 to 3 and what is built like them (SmolLM2, TinyLlama): transformers' LlamaConfig.
#include "../family.hpp"

namespace baton::weights {
namespace {

class LlamaFamily : public Family {
 public:
  std::string model_type() const override { return "llama"; }
  std::string architecture() const override { return "LlamaForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    require_activation(object, Activation::kSilu);
    read_llama_keys(object, config);
    set_bias(object.boolean_or("attention_bias", false), object.boolean_or("mlp_bias", false),
             config);
  }
};

}  // namespace

const Family& llama_family() {
  static const LlamaFamily kFamily;
  return kFamily;
}

}  // namespace baton::weights
