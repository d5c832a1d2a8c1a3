// Gemma 2: transformers' Gemma2Config, and what Gemma 3 took over from it. Norms scale by 1 + weight
// and stand before and after attention and feed-forward; embeddings are multiplied by sqrt(D);
// every other layer has a window; scores and logits are capped.
#include <cmath>
#include <optional>

#include "../family.hpp"

namespace baton::weights {
namespace {

class Gemma2Family : public Family {
 public:
  std::string model_type() const override { return "gemma2"; }
  std::string architecture() const override { return "Gemma2ForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    read_gemma(object, config);
    read_rope(object, config);
    config.attention_cap = cap_of(object, "attn_logit_softcapping", 50);
    config.logit_cap = cap_of(object, "final_logit_softcapping", 30);
    read_windows(
        object, sliding_window(object), [](std::int64_t layer) { return layer % 2 == 0; }, config);
  }
  TensorNames tensor_names() const override { return gemma_tensor_names(); }

 private:
  // Null: no cap.
  static std::optional<double> cap_of(const ConfigObject& object,
                                      const std::string& key,
                                      double absent) {
    if (object.contains(key) && object.find(key) == nullptr) {
      return std::nullopt;
    }
    return object.positive_number_or(key, absent);
  }
};

}  // namespace

void read_gemma(const ConfigObject& object, DecoderConfig& config) {
  require_activation(object, Activation::kGeluTanh, "hidden_activation");
  require_key(object, "num_key_value_heads");
  require_key(object, "head_dim");
  require_boolean(object, "use_bidirectional_attention", false);
  read_sizes(object, config);
  config.rms_norm_eps = object.positive_number_or("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = object.boolean_or("tie_word_embeddings", true);
  config.norm_offset = 1;
  config.output_norms = true;
  config.activation = Activation::kGeluTanh;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.attention_scale = 1 / std::sqrt(object.positive_number_or("query_pre_attn_scalar", 256));
  set_bias(object.boolean_or("attention_bias", false), false, config);
}

TensorNames gemma_tensor_names() {
  TensorNames names;
  names.feed_forward_norm = "pre_feedforward_layernorm.weight";
  return names;
}

const Family& gemma2_family() {
  static const Gemma2Family kFamily;
  return kFamily;
}

}  // namespace baton::weights
