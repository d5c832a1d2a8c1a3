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
    read_sizes(object, config);
    read_rope(object, config);
    config.rms_norm_eps = object.positive_number_or("rms_norm_eps", 1e-6);
    config.tie_word_embeddings = object.boolean_or("tie_word_embeddings", false);
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
