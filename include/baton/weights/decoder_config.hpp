#pragma once
// Sizes and switches of the one decoder, whatever family a model is of: what a family's file in
// src/weights/families makes of a Hugging Face config.json, checked once. Used by model (to build),
// coordinator and app (memory estimates) and tools without a checkpoint. Torch-free.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "baton/expert/check.hpp"

namespace baton::weights {

/// The "llama3" frequency scaling of RoPE (Llama 3.1 model card; transformers' rope_type "llama3").
struct Llama3RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
};

/// What the gate of the feed-forward part goes through.
enum class Activation { kSilu, kGeluTanh };
const char* activation_name(Activation activation);

/// The default of every switch is what Llama does.
struct DecoderConfig {
  std::string model_type;                // the family: "llama"
  std::int64_t vocab_size = 0;           // V
  std::int64_t hidden_size = 0;          // D
  std::int64_t intermediate_size = 0;    // F
  std::int64_t num_hidden_layers = 0;    // L
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // E, which need not be D / H
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<Llama3RopeScaling> rope_scaling;
  std::optional<double> linear_rope_factor;  // rope_type "linear"
  std::optional<double> window_rope_theta;   // layers with a window turn by this base, unscaled

  bool tie_word_embeddings = false;           // the head is the embedding
  std::array<bool, 7> has_bias{};             // of q k v o gate up down
  bool query_key_norm = false;                // RMS norms over each head's q and k, before RoPE
  bool output_norms = false;                  // norms over what attention and feed-forward give
  double norm_offset = 0;                     // norms scale by offset + weight (1: Gemma)
  Activation activation = Activation::kSilu;  // of the gate
  double embedding_scale = 1;                 // embeddings are multiplied by it (sqrt(D): Gemma)
  std::vector<std::int64_t> windows;          // [L] keys a token of that layer sees, itself
                                              // included; 0 and an empty list: all before it
  std::optional<double> attention_scale;      // of scores; none: 1 / sqrt(E)
  std::optional<double> attention_cap;        // scores become cap x tanh(score / cap)
  std::optional<double> logit_cap;            // the head's logits likewise

  std::string torch_dtype;                  // as stored, "" when absent
  std::vector<std::int64_t> eos_token_ids;  // config.json and generation_config.json together
  std::optional<std::int64_t> bos_token_id;

  /// Keys that a token of this layer sees, itself included; 0: all before it.
  std::int64_t window_of(std::int64_t layer) const {
    return windows.empty() ? 0 : windows[static_cast<std::size_t>(layer)];
  }
  /// (out, in) of a layer's seven linears, in the order of expert::lora_target_names().
  std::vector<std::pair<std::int64_t, std::int64_t>> linear_shapes() const;
  /// Number of weights, the tied head counted once.
  std::int64_t num_parameters() const;
};

/// Reads `folder`/config.json (and generation_config.json when there) as its family does. A missing
/// file or key, an unknown family, activation or RoPE kind, or sizes that do not fit: kModel,
/// naming key, expected and found.
DecoderConfig read_decoder_config(const std::filesystem::path& folder);

/// What an expert must fit.
expert::BaseSizes base_sizes_of(const DecoderConfig& config);

/// Every field that changes what the model computes or where decoding stops, as text: what the
/// fingerprint of a model covers beside its tensors. A switch that is as Llama has it is left out.
std::string canonical_facts(const DecoderConfig& config);

}  // namespace baton::weights
