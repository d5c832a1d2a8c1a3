// Families: what they make of a config.json and of tensor names, and that the fingerprints of models
// stay what they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

#include "baton/base/json.hpp"
#include "baton/weights/safetensors.hpp"
#include "baton/weights/tensor_names.hpp"
#include "temporary_folder.hpp"
#include "weights/family.hpp"

namespace baton::weights {
namespace {

using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::filesystem::path kTinyModels =
    std::filesystem::path(BATON_SOURCE_DIR) / "tests" / "golden" / "model";

/// A copy of a tiny model whose config.json was changed.
void copy_model(const std::string& name, const std::filesystem::path& to, const Json& changes) {
  std::filesystem::copy_file(kTinyModels / name / "model.safetensors", to / "model.safetensors");
  Json config = base::read_json_file(kTinyModels / name / "config.json", base::ErrorKind::kModel);
  config.update(changes);
  std::ofstream(to / "config.json") << config.dump();
}

TEST(Families, AreListedOnce) {
  std::set<std::string> types;
  for (const Family* family : families()) {
    EXPECT_TRUE(types.insert(family->model_type()).second) << family->model_type();
    EXPECT_EQ(find_family(family->model_type()), family);
  }
  EXPECT_EQ(types.count("llama"), 1U);
  EXPECT_EQ(find_family("gpt2"), nullptr);
}

// Written down before there were families: experts are bound to these.
TEST(Families, FingerprintsAreWhatTheyWere) {
  const std::map<std::string, std::string> tiny = {
      {"tiny-bias", "cb10aa8747b9fac8b54d62882d8bd9435a1f349f7e706c95b01d217cc9dcd892"},
      {"tiny-gqa-tied", "7fd4419b34451e5d648e41ce82247cb8d655e48f10d3d3f4a7388e27fc23d5b6"},
      {"tiny-head-dim", "ca1b636d7b1e5cf644605ed923f296b59c6bc06819f8db9fcae32e8a691f2625"},
      {"tiny-mha-untied", "1812d2680633e406564d8683a542da40950db7a858003de672b6674046297e4e"},
      {"tiny-rope-linear", "a37d20933e635adda29001ac2cdbab78620dd5518c87913a36746615b6b66a3c"},
      {"tiny-rope-llama3", "15bca88eacf37b0b7054e2c0df010dfe8c04d617bfb06a6c1c1f1bb59215a252"},
      {"tiny-sharded", "8b56ef96bbc86f33dc529a233c4c86bf0317c3dc518d87f3adaeaa763cd88437"}};
  for (const auto& [name, fingerprint] : tiny) {
    EXPECT_EQ(ModelWeights(kTinyModels / name).fingerprint(), fingerprint) << name;
  }
  const char* deps = std::getenv("BATON_DEPS");
  const std::filesystem::path real =
      std::filesystem::path(deps == nullptr ? "" : deps) / "models" / "smollm2-135m-instruct";
  if (std::filesystem::exists(real / "config.json")) {
    EXPECT_EQ(ModelWeights(real).fingerprint(),
              "980c34446eb834cbdbfb9f6f6ba18f23c1e133769d47b41936fe91df74873ebe");
  }
}

TEST(Families, EverySwitchThatIsNotLlamasIsInTheFacts) {
  const DecoderConfig llama = read_decoder_config(kTinyModels / "tiny-gqa-tied");
  const std::vector<void (*)(DecoderConfig&)> changes = {
      [](DecoderConfig& config) { config.has_bias[0] = true; },
      [](DecoderConfig& config) { config.has_bias[4] = config.has_bias[5] = true; },
      [](DecoderConfig& config) { config.query_key_norm = true; },
      [](DecoderConfig& config) { config.output_norms = true; },
      [](DecoderConfig& config) { config.window_rope_theta = 500; },
      [](DecoderConfig& config) { config.attention_scale = 0.5; },
      [](DecoderConfig& config) { config.norm_offset = 1; },
      [](DecoderConfig& config) { config.activation = Activation::kGeluTanh; },
      [](DecoderConfig& config) { config.embedding_scale = 2; },
      [](DecoderConfig& config) {
        config.windows = {0, 4};
      },
      [](DecoderConfig& config) { config.attention_cap = 50; },
      [](DecoderConfig& config) { config.logit_cap = 30; }};
  std::set<std::string> facts = {canonical_facts(llama)};
  for (const auto& change : changes) {
    DecoderConfig config = llama;
    change(config);
    EXPECT_TRUE(facts.insert(canonical_facts(config)).second) << canonical_facts(config);
  }
}

std::string refusal(const std::string& name, const Json& changes) {
  const TemporaryFolder folder;
  copy_model(name, folder.path(), changes);
  try {
    read_decoder_config(folder.path());
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    return error.what();
  }
  return "";
}

TEST(Families, AnUnknownOneIsNamedWithThoseThatAreKnown) {
  const std::string refused = refusal("tiny-qwen2", {{"model_type", "qwen2_moe"}});
  EXPECT_THAT(refused, HasSubstr("qwen2_moe"));
  for (const Family* family : families()) {
    EXPECT_THAT(refused, HasSubstr(family->model_type()));
  }
}

TEST(Families, WhatIsNotImplementedIsRefusedByName) {
  const std::vector<std::tuple<std::string, std::string, Json>> cases = {
      {"tiny-mistral", "hidden_act", "gelu"},
      {"tiny-mistral", "attention_bias", true},
      {"tiny-mistral", "layer_types", Json::array({"full_attention", "full_attention"})},
      {"tiny-qwen2", "layer_types", Json::array({"full_attention", "chunked_attention"})},
      {"tiny-qwen2", "layer_types", Json::array({"full_attention"})},
      {"tiny-qwen2", "rope_parameters", {{"rope_type", "yarn"}, {"factor", 4.0}}},
      {"tiny-qwen2-window", "sliding_window", 0},
      {"tiny-qwen3", "head_dim", nullptr},
      {"tiny-gemma2", "use_bidirectional_attention", true},
      {"tiny-gemma2", "hidden_activation", "gelu"},
      {"tiny-gemma2", "attn_logit_softcapping", -1.0},
      {"tiny-gemma3", "attn_logit_softcapping", 50.0},
      {"tiny-gemma3", "quantization_config", {{"bits", 4}}},
      {"tiny-gemma3",
       "rope_parameters",
       {{"full_attention", {{"rope_type", "default"}}},
        {"sliding_attention", {{"rope_type", "linear"}, {"factor", 2.0}}}}}};
  for (const auto& [name, key, value] : cases) {
    EXPECT_THAT(refusal(name, {{key, value}}), HasSubstr(key == "rope_parameters" ? "rope" : key))
        << name;
  }
}

TEST(Families, SayWhatTheirConfigsSay) {
  const auto read = [](const std::string& name) {
    return read_decoder_config(kTinyModels / ("tiny-" + name));
  };
  EXPECT_THAT(read("mistral").windows, ElementsAre(6, 6));
  EXPECT_THAT(read("mistral-unbounded").windows, ElementsAre(0, 0));
  EXPECT_THAT(read("qwen2").windows, ElementsAre(0, 0));
  EXPECT_THAT(read("qwen2").has_bias, ElementsAre(true, true, true, false, false, false, false));
  EXPECT_THAT(read("qwen2-window").windows, ElementsAre(0, 5, 5));
  EXPECT_TRUE(read("qwen3").query_key_norm);
  EXPECT_EQ(read("gemma2").attention_cap, 2.0);
  EXPECT_EQ(read("gemma2-uncapped").attention_cap, std::nullopt);
  EXPECT_THAT(read("gemma3").windows, ElementsAre(5, 5, 0, 5));
  EXPECT_EQ(read("gemma3").window_rope_theta, 10000.0);
  EXPECT_EQ(read("gemma3-scaled").linear_rope_factor, 8.0);
}

TEST(Families, CountBiasesAndNormsOneByOne) {
  // Heads of 8: q 4 x 8 = 32 outputs, k and v 2 x 8 = 16, width 32, feed-forward width 48.
  DecoderConfig config;
  config.vocab_size = 10;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  const std::int64_t bare = config.num_parameters();
  EXPECT_THAT(config.linear_shapes()[1], ::testing::Pair(16, 32));
  EXPECT_THAT(config.linear_shapes()[6], ::testing::Pair(32, 48));
  config.has_bias = {true, true, true, false, false, false, false};
  EXPECT_EQ(config.num_parameters() - bare, 3 * (32 + 16 + 16));
  config.query_key_norm = true;
  EXPECT_EQ(config.num_parameters() - bare, 3 * (32 + 16 + 16 + 2 * 8));
  config.output_norms = true;
  EXPECT_EQ(config.num_parameters() - bare, 3 * (32 + 16 + 16 + 2 * 8 + 2 * 32));
}

TEST(Families, TensorsThatNobodyReadsAreNamed) {
  for (const auto& entry : std::filesystem::directory_iterator(kTinyModels)) {
    if (entry.is_directory()) {
      EXPECT_THAT(
          unused_tensors_warning(ModelWeights(entry.path()), read_decoder_config(entry.path())),
          IsEmpty())
          << entry.path();
    }
  }
  const TemporaryFolder cut;
  copy_model("tiny-gqa-tied", cut.path(), {{"num_hidden_layers", 1}});
  const ModelWeights files(cut.path());
  const std::vector<std::string> unused = unused_tensors(files, read_decoder_config(cut.path()));
  ASSERT_EQ(unused.size(), 9U);  // seven linears and two norms of layer 1
  EXPECT_EQ(unused.front(), "model.layers.1.input_layernorm.weight");
  const std::string warning = unused_tensors_warning(files, read_decoder_config(cut.path()));
  EXPECT_THAT(warning, HasSubstr("9 of the model's"));
  EXPECT_THAT(warning, HasSubstr("model.layers.1.input_layernorm.weight"));
  EXPECT_THAT(warning, HasSubstr("asks for 1 layers"));
}

TEST(Families, AnotherHeadBesideATiedOneIsNamedAndACopyIsNot) {
  const TemporaryFolder folder;
  copy_model("tiny-mha-untied", folder.path(), {{"tie_word_embeddings", true}});
  EXPECT_THAT(unused_tensors(ModelWeights(folder.path()), read_decoder_config(folder.path())),
              ElementsAre("lm_head.weight"));
  // The same with the head a copy of the embedding, and an old buffer of angles beside it.
  const ModelWeights files(folder.path());
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, view] : files.tensors()) {
    const TensorView& source =
        name == "lm_head.weight" ? files.at("model.embed_tokens.weight") : view;
    tensors.push_back({name, source.dtype, source.shape, source.bytes});
  }
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq",
                     DType::kU8,
                     {1},
                     files.at("lm_head.weight").bytes.first(1)});
  const TemporaryFolder copy;
  write_safetensors(copy.path() / "model.safetensors", tensors, {});
  EXPECT_THAT(unused_tensors(ModelWeights(copy.path()), read_decoder_config(folder.path())),
              IsEmpty());
}

// In place of a file that Git LFS did not fetch.
TEST(ModelFolder, GitLfsPointersAreCalledThat) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\n"
      "oid sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d6caea8\nsize "
      "269060552\n";
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "config.json") << pointer;
  std::ofstream(folder.path() / "model.safetensors") << pointer;
  EXPECT_THAT([&] { read_decoder_config(folder.path()); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("Git LFS pointer")));
  EXPECT_THAT([&] { ModelWeights files(folder.path()); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("git lfs pull")));
}

}  // namespace
}  // namespace baton::weights
