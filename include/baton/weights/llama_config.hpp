#pragma once
// Sizes and switches of a Llama-family decoder, read from a Hugging Face config.json and checked
// once. Used by model (to build), app (memory estimates) and checkpoint-free tools. Torch-free.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace baton::weights {

/// The "llama3" frequency scaling of RoPE (Llama 3.1 model card; transformers' rope_type "llama3").
struct Llama3RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
};

struct LlamaConfig {
  std::string model_type;                // "llama"
  std::int64_t vocab_size = 0;           // V
  std::int64_t hidden_size = 0;          // D
  std::int64_t intermediate_size = 0;    // F
  std::int64_t num_hidden_layers = 0;    // L
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // E
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<Llama3RopeScaling> rope_scaling;
  std::optional<double> linear_rope_factor;  // rope_type "linear"
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // bias on q, k, v and o
  bool mlp_bias = false;
  std::string torch_dtype;                  // as stored, "" when absent
  std::vector<std::int64_t> eos_token_ids;  // config.json and generation_config.json together
  std::optional<std::int64_t> bos_token_id;

  /// Number of weights, the tied head counted once.
  std::int64_t num_parameters() const;
};

/// Reads `folder`/config.json (and generation_config.json when there). Both the older flat keys
/// (rope_theta, rope_scaling) and the newer rope_parameters object are understood. A missing file
/// or key, an unsupported architecture, activation or RoPE kind, or sizes that do not fit: kModel,
/// naming key, expected and found.
LlamaConfig read_llama_config(const std::filesystem::path& folder);

}  // namespace baton::weights
