#pragma once
// What differs from one family of models to the next: how its config.json sets the sizes and
// switches of the one decoder, and what its tensors are called. A family is one file in families/;
// families.cpp lists them all. Also here: what the config.json files of all families have in
// common.

#include <functional>
#include <span>
#include <string>

#include "baton/weights/decoder_config.hpp"
#include "baton/weights/tensor_names.hpp"
#include "config_object.hpp"

namespace baton::weights {

class Family {
 public:
  Family() = default;
  virtual ~Family() = default;
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  virtual std::string model_type() const = 0;    // in config.json: "llama"
  virtual std::string architecture() const = 0;  // in its list `architectures`
  /// Sizes and switches; what read_decoder_config reads for every family (the tokens that end an
  /// answer, the stored dtype) is left to it. Absent keys mean what they mean to transformers'
  /// class of this family.
  virtual void read(const ConfigObject& object, DecoderConfig& config) const = 0;
  virtual TensorNames tensor_names() const { return {}; }
};

/// All families, each once.
std::span<const Family* const> families();
/// nullptr: no such family.
const Family* find_family(const std::string& model_type);

// For the families' own use: keys that they share.

/// Vocabulary, widths, heads and positions.
void read_sizes(const ConfigObject& object, DecoderConfig& config);
/// Sizes, RoPE, the norms' epsilon and the tie of the head, as Llama and what is built like it name
/// them.
void read_llama_keys(const ConfigObject& object, DecoderConfig& config);
/// RoPE by its older flat keys (rope_theta, rope_scaling) and the newer rope_parameters.
void read_rope(const ConfigObject& object, DecoderConfig& config);
/// The scaling in `object`, which is rope_parameters (newer) or rope_scaling (older).
void read_rope_scaling(const ConfigObject& object, DecoderConfig& config);
/// The key must say `expected`, which is also what its absence means.
void require_activation(const ConfigObject& object,
                        Activation expected,
                        const std::string& key = "hidden_act");
/// A key that other programs fill in by themselves, each in its own way, when it is absent.
void require_key(const ConfigObject& object, const std::string& key);
/// A key that asks for something that is not there: absent, or `allowed`.
void require_boolean(const ConfigObject& object, const std::string& key, bool allowed);
/// Bias on q, k, v and o, and on gate, up and down.
void set_bias(bool attention, bool feed_forward, DecoderConfig& config);
/// A window by layer: `layer_types` (full_attention, sliding_attention), else `is_sliding`; `window`
/// keys in the sliding ones.
void read_windows(const ConfigObject& object,
                  std::int64_t window,
                  const std::function<bool(std::int64_t layer)>& is_sliding,
                  DecoderConfig& config);
/// What Gemma 2 and 3 share, all but RoPE, windows and the norms of queries and keys.
void read_gemma(const ConfigObject& object, DecoderConfig& config);
/// Their layers have four norms.
TensorNames gemma_tensor_names();
/// As Qwen's models say it: use_sliding_window, sliding_window, max_window_layers (the first layers
/// see all), layer_types.
void read_qwen_windows(const ConfigObject& object, DecoderConfig& config);
/// sliding_window: at least 1; 0 where it is null, 4096 where there is no such key.
std::int64_t sliding_window(const ConfigObject& object);

// One function a file of families/.
const Family& gemma2_family();
const Family& gemma3_family();
const Family& llama_family();
const Family& mistral_family();
const Family& qwen2_family();
const Family& qwen3_family();

}  // namespace baton::weights
