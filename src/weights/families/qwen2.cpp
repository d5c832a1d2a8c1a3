// Qwen 2 and 2.5: transformers' Qwen2Config. Llama with a bias on q, k and v, and a window over the
// keys of the later layers where config.json switches it on.
#include "../family.hpp"

namespace baton::weights {
namespace {

class Qwen2Family : public Family {
 public:
  std::string model_type() const override { return "qwen2"; }
  std::string architecture() const override { return "Qwen2ForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    require_activation(object, Activation::kSilu);
    require_key(object, "num_key_value_heads");
    read_llama_keys(object, config);
    config.has_bias = {true, true, true};
    read_qwen_windows(object, config);
  }
};

}  // namespace

const Family& qwen2_family() {
  static const Qwen2Family kFamily;
  return kFamily;
}

}  // namespace baton::weights
