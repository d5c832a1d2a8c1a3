#include "base_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "baton/base/error.hpp"

namespace baton::model {

namespace {

at::ScalarType scalar_type_of(const weights::TensorView& view) {
  switch (view.dtype) {
    case weights::DType::kF32:
      return at::kFloat;
    case weights::DType::kBF16:
      return at::kBFloat16;
    case weights::DType::kF16:
      return at::kHalf;
    default:
      throw base::Error(base::ErrorKind::kModel, "a weight has a type that is not supported",
                        {.where = view.name,
                         .expected = "F32, BF16 or F16",
                         .found = weights::dtype_name(view.dtype),
                         .fix = "save the model in one of the supported types"});
  }
}

class Reader {
 public:
  Reader(const weights::ModelWeights& files, at::ScalarType dtype, const at::Device& device)
      : files_(files), dtype_(dtype), device_(device) {}

  at::Tensor read(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const weights::TensorView& view = files_.at(name);
    if (view.shape != shape) {
      throw base::Error(base::ErrorKind::kModel, "a weight does not fit the model's config.json",
                        {.where = name,
                         .expected = fmt::format("shape [{}]", fmt::join(shape, ", ")),
                         .found = fmt::format("shape [{}]", fmt::join(view.shape, ", ")),
                         .fix = "check that config.json belongs to these weights"});
    }
    // The mapping is read-only; torch has no const tensors, and nothing writes to a frozen weight.
    auto* data = const_cast<std::byte*>(view.bytes.data());
    const at::Tensor mapped =
        at::from_blob(data, shape, at::TensorOptions().dtype(scalar_type_of(view)));
    return mapped.to(device_, dtype_);
  }

  FrozenLinear linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias) const {
    FrozenLinear linear{read(name + ".weight", {out, in}), {}};
    if (bias) {
      linear.bias = read(name + ".bias", {out});
    }
    return linear;
  }

 private:
  const weights::ModelWeights& files_;
  at::ScalarType dtype_;
  at::Device device_;
};

DecoderLayer read_layer(const Reader& reader,
                        const weights::LlamaConfig& config,
                        std::int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::int64_t width = config.hidden_size;
  const std::int64_t q_width = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_width = config.num_key_value_heads * config.head_dim;
  const bool bias = config.attention_bias;
  DecoderLayer layer;
  layer.attention_norm = reader.read(prefix + "input_layernorm.weight", {width});
  layer.attention.q = reader.linear(prefix + "self_attn.q_proj", q_width, width, bias);
  layer.attention.k = reader.linear(prefix + "self_attn.k_proj", kv_width, width, bias);
  layer.attention.v = reader.linear(prefix + "self_attn.v_proj", kv_width, width, bias);
  layer.attention.o = reader.linear(prefix + "self_attn.o_proj", width, q_width, bias);
  layer.feed_forward_norm = reader.read(prefix + "post_attention_layernorm.weight", {width});
  const std::int64_t wide = config.intermediate_size;
  layer.feed_forward.gate = reader.linear(prefix + "mlp.gate_proj", wide, width, config.mlp_bias);
  layer.feed_forward.up = reader.linear(prefix + "mlp.up_proj", wide, width, config.mlp_bias);
  layer.feed_forward.down = reader.linear(prefix + "mlp.down_proj", width, wide, config.mlp_bias);
  return layer;
}

}  // namespace

BaseWeights read_base_weights(const weights::ModelWeights& files,
                              const weights::LlamaConfig& config,
                              at::ScalarType dtype,
                              const at::Device& device) {
  const Reader reader(files, dtype, device);
  BaseWeights weights;
  weights.embedding =
      reader.read("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (std::int64_t index = 0; index < config.num_hidden_layers; ++index) {
    weights.layers.push_back(read_layer(reader, config, index));
  }
  weights.final_norm = reader.read("model.norm.weight", {config.hidden_size});
  weights.head = config.tie_word_embeddings
                     ? weights.embedding
                     : reader.read("lm_head.weight", {config.vocab_size, config.hidden_size});
  return weights;
}

}  // namespace baton::model
