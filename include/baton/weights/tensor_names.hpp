#pragma once
// What a family calls the tensors of the one decoder. The default names are those of Llama and of
// most families after it. Used to read the weights, and to say which tensors of a file nobody uses.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "baton/weights/decoder_config.hpp"
#include "baton/weights/safetensors.hpp"

namespace baton::weights {

struct TensorNames {
  std::string embedding = "model.embed_tokens.weight";
  std::string final_norm = "model.norm.weight";
  std::string head = "lm_head.weight";

  // Of a layer, after its prefix.
  std::string layers = "model.layers.";  // then the number and a dot
  std::string attention_norm = "input_layernorm.weight";
  std::string feed_forward_norm = "post_attention_layernorm.weight";
  std::string attention_output_norm = "post_attention_layernorm.weight";  // where there are any,
  std::string feed_forward_output_norm = "post_feedforward_layernorm.weight";  // all four differ
  std::string query_norm = "self_attn.q_norm.weight";
  std::string key_norm = "self_attn.k_norm.weight";
  /// In the order of expert::lora_target_names(); ".weight" and ".bias" follow.
  std::array<std::string, 7> linears = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                        "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                        "mlp.down_proj"};
  /// Ends of names that other programs stored beside the weights and that say nothing new.
  std::vector<std::string> ignored_ends = {".rotary_emb.inv_freq"};

  std::string of_layer(std::int64_t layer, const std::string& name) const {
    return layers + std::to_string(layer) + "." + name;
  }
};

/// The names of the family that `config` is of.
TensorNames tensor_names(const DecoderConfig& config);

/// The tensors of the files that the decoder of `config` does not read, in order of name: layers
/// beyond its number, biases it does not ask for, a second head that differs from the embedding.
std::vector<std::string> unused_tensors(const ModelWeights& files, const DecoderConfig& config);

/// One sentence about them, with counts and the first names; "" when there are none.
std::string unused_tensors_warning(const ModelWeights& files, const DecoderConfig& config);

}  // namespace baton::weights
