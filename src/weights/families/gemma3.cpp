// Gemma 3, the text models: transformers' Gemma3TextConfig. As Gemma 2 without its cap on scores,
// with norms over each head's queries and keys; five layers with a window to one without, and a
// RoPE base of their own for those with one.
#include "../family.hpp"

namespace baton::weights {
namespace {

using base::Json;

class Gemma3Family : public Family {
 public:
  std::string model_type() const override { return "gemma3_text"; }
  std::string architecture() const override { return "Gemma3ForCausalLM"; }

  void read(const ConfigObject& object, DecoderConfig& config) const override {
    read_gemma(object, config);
    config.query_key_norm = true;
    if (const Json* cap = object.find("attn_logit_softcapping")) {
      object.fail("attn_logit_softcapping", "null", shown(*cap),
                  "Gemma 3 has no cap on scores; the file may be of another model.");
    }
    if (object.find("final_logit_softcapping") != nullptr) {
      config.logit_cap = object.required_positive_number("final_logit_softcapping");
    }
    const std::int64_t pattern = object.integer_or("sliding_window_pattern", 6, 1, 4096);
    read_windows(
        object, sliding_window(object),
        [&](std::int64_t layer) { return (layer + 1) % pattern != 0; }, config);
    read_rope_of_both(object, config);
  }
  TensorNames tensor_names() const override { return gemma_tensor_names(); }

 private:
  // The newer spelling has an object a kind of layer; the older flat keys.
  static void read_rope_of_both(const ConfigObject& object, DecoderConfig& config) {
    config.rope_theta = object.positive_number_or("rope_theta", 1e6);
    config.window_rope_theta = object.positive_number_or("rope_local_base_freq", 1e4);
    const Json* newer = object.find("rope_parameters");
    const Json* older = object.find("rope_scaling");
    if (newer != nullptr && older != nullptr) {
      object.fail("rope_scaling", "absent beside rope_parameters", shown(*older),
                  "The file describes RoPE twice; keep the right one.");
    }
    if (older != nullptr) {
      read_rope_scaling(ConfigObject(*older, object.origin() + ", rope_scaling"), config);
    }
    if (newer == nullptr) {
      return;
    }
    const ConfigObject kinds(*newer, object.origin() + ", rope_parameters");
    require_key(kinds, "full_attention");
    require_key(kinds, "sliding_attention");
    const ConfigObject full(*kinds.find("full_attention"), kinds.origin() + ", full_attention");
    config.rope_theta = full.positive_number_or("rope_theta", config.rope_theta);
    read_rope_scaling(full, config);
    const ConfigObject sliding(*kinds.find("sliding_attention"),
                               kinds.origin() + ", sliding_attention");
    config.window_rope_theta = sliding.positive_number_or("rope_theta", *config.window_rope_theta);
    if (const std::string kind = sliding.text_or("rope_type", "default"); kind != "default") {
      sliding.fail("rope_type", "default", kind,
                   "A RoPE scaling of layers with a window is not supported.");
    }
  }
};

}  // namespace

const Family& gemma3_family() {
  static const Gemma3Family kFamily;
  return kFamily;
}

}  // namespace baton::weights
