#pragma once
// A tiny random Llama, random adapters and a tokenizer of letters: small enough that a twin without
// cache or batches can follow every step.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "baton/base/seed.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/eval/generate.hpp"
#include "baton/eval/margins.hpp"
#include "baton/weights/safetensors.hpp"

namespace baton::eval {

constexpr std::int64_t kVocabulary = 200;
constexpr std::int64_t kWidth = 32;
constexpr std::int64_t kAccept = 11;
constexpr std::int64_t kPass = 12;
constexpr expert::Indicators kIndicators{.accept = kAccept, .pass = kPass};

inline double gaussian(base::Random& random) {
  double sum = -6.0;
  for (int i = 0; i < 12; ++i) {
    sum += random.uniform();
  }
  return sum;
}

inline std::vector<float> random_values(std::int64_t count, double scale, base::Random& random) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(scale * gaussian(random)));
  }
  return values;
}

/// Every id is a letter or a space; ids from 190 on are special.
class LetterTokenizer final : public tokenizer::Tokenizer {
 public:
  std::vector<tokenizer::TokenId> encode(std::string_view text) const override {
    std::vector<tokenizer::TokenId> ids;
    for (const char c : text) {
      ids.push_back(static_cast<unsigned char>(c) % 190);
    }
    return ids;
  }
  std::vector<tokenizer::TokenId> encode_with_special(std::string_view text) const override {
    return encode(text);
  }
  std::string decode(const std::vector<tokenizer::TokenId>& ids, bool skip_special) const override {
    std::string text;
    for (const tokenizer::TokenId id : ids) {
      if (id < 190 || !skip_special) {
        text.push_back(id % 3 == 0 ? ' ' : static_cast<char>('a' + id % 26));
      }
    }
    return text;
  }
  std::optional<tokenizer::TokenId> token_to_id(std::string_view) const override {
    return std::nullopt;
  }
  std::string id_to_token(tokenizer::TokenId) const override { return ""; }
  std::int64_t vocabulary_size() const override { return kVocabulary; }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  std::string fingerprint_ = "letters";
};

/// Writes the tiny model's folder; `head_value` fills the head instead of random numbers when it is
/// given.
inline void write_tiny_model(const std::filesystem::path& folder, std::optional<float> head_value) {
  std::ofstream(folder / "config.json")
      << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "vocab_size": 200, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "hidden_act": "silu", "tie_word_embeddings": false})";
  base::Random random(4711);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes = {
      {"model.embed_tokens.weight", {kVocabulary, kWidth}},
      {"lm_head.weight", {kVocabulary, kWidth}},
      {"model.norm.weight", {kWidth}}};
  for (int layer = 0; layer < 2; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    shapes.insert(shapes.end(), {{prefix + "self_attn.q_proj.weight", {32, 32}},
                                 {prefix + "self_attn.k_proj.weight", {16, 32}},
                                 {prefix + "self_attn.v_proj.weight", {16, 32}},
                                 {prefix + "self_attn.o_proj.weight", {32, 32}},
                                 {prefix + "mlp.gate_proj.weight", {48, 32}},
                                 {prefix + "mlp.up_proj.weight", {48, 32}},
                                 {prefix + "mlp.down_proj.weight", {32, 48}},
                                 {prefix + "input_layernorm.weight", {32}},
                                 {prefix + "post_attention_layernorm.weight", {32}}});
  }
  std::vector<std::vector<float>> values;
  for (const auto& [name, shape] : shapes) {
    if (shape.size() == 1) {
      values.emplace_back(static_cast<std::size_t>(shape[0]), 1.0F);
    } else if (name == "lm_head.weight" && head_value) {
      values.emplace_back(static_cast<std::size_t>(shape[0] * shape[1]), *head_value);
    } else {
      values.push_back(random_values(shape[0] * shape[1],
                                     name.starts_with("model.layers") ? 0.25 : 0.6, random));
    }
  }
  std::vector<weights::TensorToWrite> tensors;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    tensors.push_back({shapes[i].first, weights::DType::kF32, shapes[i].second,
                       std::as_bytes(std::span<const float>(values[i]))});
  }
  weights::write_safetensors(folder / "model.safetensors", tensors, {});
}

inline std::unique_ptr<model::Decoder> make_tiny_model(
    std::optional<float> head_value = std::nullopt) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("baton_eval_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  write_tiny_model(folder, head_value);
  std::unique_ptr<model::Decoder> model = model::Decoder::load(folder, at::kFloat, at::kCPU);
  std::filesystem::remove_all(folder);  // the mapping stays
  return model;
}

/// An adapter on every linear of both layers, strong enough to change answers.
inline model::Adapter make_random_adapter(const std::string& name, std::uint64_t seed) {
  base::Random random(seed);
  const std::vector<std::pair<std::int64_t, std::int64_t>> sizes = {
      {32, 32}, {16, 32}, {16, 32}, {32, 32}, {48, 32}, {48, 32}, {32, 48}};  // out, in
  model::Adapter adapter;
  adapter.name = name;
  adapter.rank = 3;
  adapter.alpha = 6;
  adapter.layers.resize(2);
  for (auto& layer : adapter.layers) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      layer[i].a =
          at::tensor(random_values(3 * sizes[i].second, 0.2, random)).view({3, sizes[i].second});
      layer[i].b =
          at::tensor(random_values(sizes[i].first * 3, 0.2, random)).view({sizes[i].first, 3});
    }
  }
  return adapter;
}

inline Prompt make_random_prompt(std::size_t length, std::uint64_t seed) {
  base::Random random(seed);
  Prompt prompt;
  for (std::size_t i = 0; i < length; ++i) {
    prompt.push_back(static_cast<tokenizer::TokenId>(random.below(kVocabulary)));
  }
  return prompt;
}

/// The slow twin of greedy_decode: one row, the whole sequence computed anew for every token, no
/// cache.
inline Decoded decode_by_recomputing(const model::Decoder& model,
                                     Prompt sequence,
                                     const model::AdapterUses* adapters,
                                     const DecodeOptions& options) {
  const c10::InferenceMode guard;
  Decoded result;
  bool is_first = true;
  if (options.forced_first_token) {
    sequence.push_back(static_cast<tokenizer::TokenId>(*options.forced_first_token));
    is_first = false;
  }
  while (result.num_new_tokens < options.max_new_tokens) {
    const model::PackedRows rows =
        model::pack_rows(std::span<const Prompt>(&sequence, 1), at::kCPU);
    const at::Tensor hidden =
        model.forward_hidden(model.embedder().embed(rows), rows, adapters, nullptr);
    const at::Tensor logits = model.logits(hidden.narrow(0, hidden.size(0) - 1, 1)).contiguous();
    std::int64_t best = -1;
    for (std::int64_t id = 0; id < kVocabulary; ++id) {
      const auto& banned = options.banned_ids_after_first;
      if (!is_first && std::find(banned.begin(), banned.end(), id) != banned.end()) {
        continue;
      }
      if (best < 0 || logits.data_ptr<float>()[id] > logits.data_ptr<float>()[best]) {
        best = id;
      }
    }
    is_first = false;
    ++result.num_new_tokens;
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), best) !=
        options.stop_ids.end()) {
      result.stopped = true;
      break;
    }
    result.tokens.push_back(static_cast<tokenizer::TokenId>(best));
    sequence.push_back(static_cast<tokenizer::TokenId>(best));
  }
  return result;
}

/// Stops often enough that rows of one batch end at different positions.
inline DecodeOptions base_decoding() {
  DecodeOptions options{.max_new_tokens = 12};
  for (std::int64_t id = 3; id < kVocabulary; id += 8) {
    options.stop_ids.push_back(id);
  }
  return options;
}

/// Margins of all prompts, in their order, read in batches.
inline std::vector<double> margins_in_batches(const model::Decoder& model,
                                              const model::Adapter& adapter,
                                              std::span<const Prompt> prompts,
                                              std::int64_t batch_size) {
  std::vector<double> all(prompts.size());
  for (const std::vector<std::size_t>& batch : margin_batches(prompts, batch_size)) {
    const std::vector<double> values = margins(model, adapter, prompts, batch, kIndicators);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      all[batch[i]] = values[i];
    }
  }
  return all;
}

}  // namespace baton::eval
