#pragma once
// What tests of the decoder and the trainer share: reference tensors, token rows, random adapters,
// and a twin of the decoder in double precision, one row at a time, written as plainly as the
// published equations.

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/seed.hpp"
#include "baton/model/adapter.hpp"
#include "baton/model/decoder.hpp"
#include "baton/weights/safetensors.hpp"

namespace baton::test {

using Row = std::vector<std::int32_t>;
using TensorMap = std::map<std::string, at::Tensor>;

inline std::filesystem::path golden_folder() {
  return std::filesystem::path(BATON_SOURCE_DIR) / "tests" / "golden";
}

inline const std::vector<std::string>& tiny_names() {
  static const std::vector<std::string> names{
      "tiny-gqa-tied",    "tiny-mha-untied",  "tiny-head-dim", "tiny-bias",
      "tiny-rope-llama3", "tiny-rope-linear", "tiny-sharded"};
  return names;
}

/// Every family's, each switch on and off.
inline const std::vector<std::string>& family_names() {
  static const std::vector<std::string> names{
      "tiny-mistral", "tiny-mistral-unbounded", "tiny-qwen2",  "tiny-qwen2-window",
      "tiny-qwen3",   "tiny-qwen3-window",      "tiny-gemma2", "tiny-gemma2-uncapped",
      "tiny-gemma3",  "tiny-gemma3-scaled"};
  return names;
}

inline std::filesystem::path tiny_folder(const std::string& name) {
  return golden_folder() / "model" / name;
}

/// The folder of the small real model, or nothing where it was not fetched.
inline std::optional<std::filesystem::path> real_model_folder() {
  std::vector<std::filesystem::path> places;
  if (const char* folder = std::getenv("BATON_MODEL_DIR")) {
    places.emplace_back(folder);
  }
  if (const char* deps = std::getenv("BATON_DEPS")) {
    places.push_back(std::filesystem::path(deps) / "models" / "smollm2-135m-instruct");
  }
  places.push_back(std::filesystem::path(BATON_SOURCE_DIR) / ".deps" / "models" /
                   "smollm2-135m-instruct");
  for (const std::filesystem::path& place : places) {
    if (std::filesystem::exists(place / "model.safetensors")) {
      return place;
    }
  }
  return std::nullopt;
}

inline at::Tensor to_tensor(const weights::TensorView& view) {
  const at::ScalarType type = view.dtype == weights::DType::kI64    ? at::kLong
                              : view.dtype == weights::DType::kBF16 ? at::kBFloat16
                                                                    : at::kFloat;
  auto* data = const_cast<std::byte*>(view.bytes.data());
  return at::from_blob(data, view.shape, at::TensorOptions().dtype(type)).clone();
}

inline TensorMap read_tensors(const std::filesystem::path& file) {
  TensorMap tensors;
  const weights::SafetensorsFile opened(file);
  for (const auto& [name, view] : opened.tensors()) {
    tensors[name] = to_tensor(view);
  }
  return tensors;
}

inline Row to_row(const at::Tensor& ids) {
  const at::Tensor narrow = ids.to(at::kInt).contiguous();
  return {narrow.data_ptr<std::int32_t>(), narrow.data_ptr<std::int32_t>() + narrow.numel()};
}

inline Row random_row(std::int64_t length, std::int64_t vocab_size, std::uint64_t seed) {
  base::Random random(seed);
  Row row(static_cast<std::size_t>(length));
  for (std::int32_t& token : row) {
    token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab_size)));
  }
  return row;
}

inline double max_difference(const at::Tensor& left, const at::Tensor& right) {
  return (left.to(at::kDouble) - right.to(at::kDouble)).abs().max().item<double>();
}

inline std::unique_ptr<model::Decoder> load_tiny(const std::string& name,
                                                 at::ScalarType dtype = at::kFloat) {
  return model::Decoder::load(tiny_folder(name), dtype, at::kCPU);
}

/// Hidden states [N, D] of packed rows.
inline at::Tensor hidden_of(const model::Decoder& model,
                            const std::vector<Row>& rows,
                            const model::AdapterUses* adapters = nullptr,
                            model::PassCaches* caches = nullptr,
                            const model::DropoutKey* dropout = nullptr) {
  const model::PackedRows packed = model::pack_rows(rows, at::kCPU);
  return model.forward_hidden(model.embedder().embed(packed), packed, adapters, caches, dropout);
}

/// What reading these rows leaves, ready for decoding steps.
inline model::KvCache cache_of(const model::Decoder& model,
                               const std::vector<Row>& rows,
                               std::int64_t spare,
                               const model::AdapterUses* adapters = nullptr) {
  model::PassCaches caches;
  hidden_of(model, rows, adapters, &caches);
  return {caches.kept, spare};
}

/// fp32 logits [N, V] of packed rows.
inline at::Tensor logits_of(const model::Decoder& model,
                            const std::vector<Row>& rows,
                            const model::AdapterUses* adapters = nullptr) {
  return model.logits(hidden_of(model, rows, adapters));
}

/// An adapter from a file under PEFT's key names.
inline model::Adapter read_adapter(const std::filesystem::path& file,
                                   std::int64_t num_layers,
                                   double alpha) {
  expert::ExpertState state;
  state.task = file.stem().string();
  state.lora_alpha = alpha;
  for (const auto& [name, tensor] : read_tensors(file)) {
    const at::Tensor values = tensor.contiguous();
    state.arrays.push_back({name,
                            values.sizes().vec(),
                            {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()}});
    if (name.find("lora_A") != std::string::npos) {
      state.lora_rank = values.size(0);
    }
  }
  return model::adapter_from_state(state, num_layers, at::kCPU);
}

/// Random A and B on every linear of the given layers.
inline model::Adapter random_adapter(const weights::DecoderConfig& config,
                                     std::int64_t rank,
                                     double alpha,
                                     const std::vector<std::int64_t>& layers,
                                     std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  model::Adapter adapter;
  adapter.name = "random";
  adapter.rank = rank;
  adapter.alpha = alpha;
  adapter.layers.resize(static_cast<std::size_t>(config.num_hidden_layers));
  const auto shapes = config.linear_shapes();
  for (const std::int64_t layer : layers) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      model::LoraFactors& factors = adapter.layers[static_cast<std::size_t>(layer)][i];
      factors.a =
          at::randn({rank, shapes[i].second}, generator, at::TensorOptions(at::kFloat)) * 0.2;
      factors.b =
          at::randn({shapes[i].first, rank}, generator, at::TensorOptions(at::kFloat)) * 0.1;
    }
  }
  return adapter;
}

/// The decoder again, in doubles. LoRA factors are merged into the weights: W + sum of weight *
/// alpha / R * B A.
class TwinLlama {
 public:
  struct Part {
    const model::Adapter* adapter;
    double weight;
  };

  TwinLlama(const std::filesystem::path& folder, const weights::DecoderConfig& config)
      : config_(config) {
    const weights::ModelWeights files(folder);
    for (const auto& [name, view] : files.tensors()) {
      weights_[name] = to_tensor(view).to(at::kDouble);
    }
  }

  /// Logits [T, V] of one row. Factors are used as they are given, so that autograd reaches double
  /// ones.
  at::Tensor logits(const Row& row, const std::vector<Part>& parts = {}) const {
    const at::Tensor ids = at::tensor(std::vector<std::int64_t>(row.begin(), row.end()), at::kLong);
    at::Tensor x = weights_.at("model.embed_tokens.weight").index_select(0, ids);
    for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      const std::string prefix = fmt::format("model.layers.{}.", layer);
      x = x + attention(norm(x, prefix + "input_layernorm.weight"), layer, parts);
      const at::Tensor y = norm(x, prefix + "post_attention_layernorm.weight");
      const at::Tensor gate = linear(y, layer, 4, parts);
      x = x + linear(gate * at::sigmoid(gate) * linear(y, layer, 5, parts), layer, 6, parts);
    }
    const char* head = config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    return at::mm(norm(x, "model.norm.weight"), weights_.at(head).t());
  }

  /// What a linear's output gets on top, from what it reads: x [T, in] -> [T, out]. May be empty.
  std::function<at::Tensor(const at::Tensor& x, std::int64_t layer, std::size_t linear)> added = {};

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    return x / (x * x).mean(-1, true).add(config_.rms_norm_eps).sqrt() * weights_.at(name);
  }

  at::Tensor linear(const at::Tensor& x,
                    std::int64_t layer,
                    std::size_t index,
                    const std::vector<Part>& parts) const {
    static const std::array<const char*, 7> names{
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
    const std::string name = fmt::format("model.layers.{}.{}", layer, names[index]);
    at::Tensor weight = weights_.at(name + ".weight");
    for (const Part& part : parts) {
      const model::LoraFactors& factors =
          part.adapter->layers[static_cast<std::size_t>(layer)][index];
      if (factors.a.defined()) {
        weight = weight + part.weight * part.adapter->alpha /
                              static_cast<double>(part.adapter->rank) *
                              at::mm(factors.b.to(at::kDouble), factors.a.to(at::kDouble));
      }
    }
    at::Tensor y = at::mm(x, weight.t());
    if (added) {
      y = y + added(x, layer, index);
    }
    const auto bias = weights_.find(name + ".bias");
    return bias == weights_.end() ? y : y + bias->second;
  }

  // Dimension i of the first half turns with dimension i of the second by position * theta^(-2i/E).
  at::Tensor turn(const at::Tensor& x) const {  // [T, heads, E]
    const std::int64_t half = config_.head_dim / 2;
    const at::Tensor exponents =
        at::arange(half, at::kDouble) * (2.0 / static_cast<double>(config_.head_dim));
    at::Tensor frequencies =
        at::pow(at::full({half}, config_.rope_theta, at::kDouble), exponents.neg());
    if (config_.linear_rope_factor) {
      frequencies = frequencies / *config_.linear_rope_factor;
    }
    const at::Tensor angles = at::arange(x.size(0), at::kDouble).view({-1, 1, 1}) * frequencies;
    const at::Tensor first = x.narrow(2, 0, half);
    const at::Tensor second = x.narrow(2, half, half);
    return at::cat({first * angles.cos() - second * angles.sin(),
                    second * angles.cos() + first * angles.sin()},
                   2);
  }

  at::Tensor attention(const at::Tensor& x,
                       std::int64_t layer,
                       const std::vector<Part>& parts) const {
    const std::int64_t length = x.size(0);
    const std::int64_t size = config_.head_dim;
    const at::Tensor q =
        turn(linear(x, layer, 0, parts).view({length, config_.num_attention_heads, size}));
    const at::Tensor k =
        turn(linear(x, layer, 1, parts).view({length, config_.num_key_value_heads, size}));
    const at::Tensor v =
        linear(x, layer, 2, parts).view({length, config_.num_key_value_heads, size});
    const at::Tensor future = at::ones({length, length}, at::kBool).triu(1);
    std::vector<at::Tensor> heads;
    for (std::int64_t head = 0; head < config_.num_attention_heads; ++head) {
      const std::int64_t shared = head * config_.num_key_value_heads / config_.num_attention_heads;
      const at::Tensor scores =
          at::mm(q.select(1, head), k.select(1, shared).t()) / std::sqrt(static_cast<double>(size));
      heads.push_back(
          at::mm(at::softmax(scores.masked_fill(future, -1e300), -1), v.select(1, shared)));
    }
    return linear(at::cat(heads, 1), layer, 3, parts);
  }

  const weights::DecoderConfig config_;
  TensorMap weights_;
};

}  // namespace baton::test
