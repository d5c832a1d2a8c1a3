#include "base_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/weights/tensor_names.hpp"

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

  /// With an offset in fp32, which 1 + weight needs and the norm computes in anyway.
  at::Tensor norm(const std::string& name, std::int64_t width, double offset) const {
    const at::Tensor weight = read(name, {width});
    return offset == 0 ? weight : weight.to(at::kFloat) + offset;
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
                        const weights::DecoderConfig& config,
                        const weights::TensorNames& names,
                        std::int64_t index) {
  const auto norm = [&](const std::string& name, std::int64_t width) {
    return reader.norm(names.of_layer(index, name), width, config.norm_offset);
  };
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes = config.linear_shapes();
  const auto linear = [&](std::size_t i) {
    return reader.linear(names.of_layer(index, names.linears[i]), shapes[i].first, shapes[i].second,
                         config.has_bias[i]);
  };
  DecoderLayer layer;
  layer.attention_norm = norm(names.attention_norm, config.hidden_size);
  layer.attention.q = linear(0);
  layer.attention.k = linear(1);
  layer.attention.v = linear(2);
  layer.attention.o = linear(3);
  layer.attention.window = config.window_of(index);
  if (config.query_key_norm) {
    layer.attention.query_norm = norm(names.query_norm, config.head_dim);
    layer.attention.key_norm = norm(names.key_norm, config.head_dim);
  }
  layer.feed_forward_norm = norm(names.feed_forward_norm, config.hidden_size);
  layer.feed_forward.gate = linear(4);
  layer.feed_forward.up = linear(5);
  layer.feed_forward.down = linear(6);
  layer.feed_forward.activation = config.activation;
  if (config.output_norms) {
    layer.attention_output_norm = norm(names.attention_output_norm, config.hidden_size);
    layer.feed_forward_output_norm = norm(names.feed_forward_output_norm, config.hidden_size);
  }
  return layer;
}

}  // namespace

BaseWeights read_base_weights(const weights::ModelWeights& files,
                              const weights::DecoderConfig& config,
                              at::ScalarType dtype,
                              const at::Device& device) {
  const Reader reader(files, dtype, device);
  const weights::TensorNames names = weights::tensor_names(config);
  BaseWeights weights;
  weights.embedding = reader.read(names.embedding, {config.vocab_size, config.hidden_size});
  for (std::int64_t index = 0; index < config.num_hidden_layers; ++index) {
    weights.layers.push_back(read_layer(reader, config, names, index));
  }
  weights.final_norm = reader.norm(names.final_norm, config.hidden_size, config.norm_offset);
  weights.head = config.tie_word_embeddings
                     ? weights.embedding
                     : reader.read(names.head, {config.vocab_size, config.hidden_size});
  return weights;
}

}  // namespace baton::model
