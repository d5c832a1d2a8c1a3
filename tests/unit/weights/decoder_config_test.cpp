#include "baton/weights/decoder_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "temporary_folder.hpp"

namespace baton::weights {
namespace {

using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json small_config() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "vocab_size": 100, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
    "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5, "rope_theta": 5000.0, "eos_token_id": 7
  })");
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

class DecoderConfigTest : public ::testing::Test {
 protected:
  DecoderConfig read(const Json& json) {
    write(folder_.path() / "config.json", json.dump());
    return read_decoder_config(folder_.path());
  }
  /// The text of the error that reading this gives; "" when it gives none.
  std::string error_of(const std::function<void(Json&)>& change) {
    Json json = small_config();
    change(json);
    try {
      read(json);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      EXPECT_FALSE(error.details().where.empty());
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(DecoderConfigTest, ReadsOlderFlatKeys) {
  const DecoderConfig config = read(small_config());
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.hidden_size, 24);
  EXPECT_EQ(config.intermediate_size, 40);
  EXPECT_EQ(config.num_hidden_layers, 3);
  EXPECT_EQ(config.num_attention_heads, 6);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 4);  // 24 / 6
  EXPECT_EQ(config.max_position_embeddings, 512);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_theta, 5000.0);
  EXPECT_FALSE(config.rope_scaling.has_value());
  EXPECT_FALSE(config.linear_rope_factor.has_value());
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7));
  EXPECT_FALSE(config.bos_token_id.has_value());
}

TEST_F(DecoderConfigTest, CountsParameters) {
  // Tables 2 * 100 * 24 = 4800; a layer: q and o 2 * 24 * 24 = 1152, k and v 2 * 24 * 8 = 384,
  // MLP 3 * 24 * 40 = 2880, norms 48: 4464; three layers 13392; last norm 24.
  EXPECT_EQ(read(small_config()).num_parameters(), 4800 + 13392 + 24);
  Json tied = small_config();
  tied["tie_word_embeddings"] = true;
  EXPECT_EQ(read(tied).num_parameters(), 2400 + 13392 + 24);
  Json biased = small_config();
  biased["attention_bias"] = true;  // 24 + 2 * 8 + 24 = 64 a layer
  biased["mlp_bias"] = true;        // 2 * 40 + 24 = 104 a layer
  EXPECT_EQ(read(biased).num_parameters(), 4800 + 13392 + 24 + 3 * 168);
}

TEST_F(DecoderConfigTest, ReadsNewerRopeParameters) {
  Json json = small_config();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 100000.0}};
  EXPECT_EQ(read(json).rope_theta, 100000.0);

  json["rope_parameters"] = {{"rope_type", "llama3"},   {"rope_theta", 500000.0},
                             {"factor", 32.0},          {"low_freq_factor", 1.0},
                             {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  const DecoderConfig config = read(json);
  EXPECT_EQ(config.rope_theta, 500000.0);
  ASSERT_TRUE(config.rope_scaling.has_value());
  EXPECT_EQ(config.rope_scaling->factor, 32.0);
  EXPECT_EQ(config.rope_scaling->low_freq_factor, 1.0);
  EXPECT_EQ(config.rope_scaling->high_freq_factor, 4.0);
  EXPECT_EQ(config.rope_scaling->original_max_position_embeddings, 8192);
}

TEST_F(DecoderConfigTest, ReadsOlderRopeScalingOfBothSpellings) {
  for (const char* key : {"type", "rope_type"}) {
    Json json = small_config();
    json["rope_scaling"] = {{key, "linear"}, {"factor", 2.5}};
    const DecoderConfig config = read(json);
    EXPECT_EQ(config.rope_theta, 5000.0);
    EXPECT_EQ(config.linear_rope_factor, 2.5);
    EXPECT_FALSE(config.rope_scaling.has_value());
  }
  Json json = small_config();
  json["rope_scaling"] = {
      {"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", 4}};
  EXPECT_EQ(read(json).rope_scaling->original_max_position_embeddings,
            512);  // max_position_embeddings
  json["rope_scaling"] = nullptr;
  EXPECT_FALSE(read(json).rope_scaling.has_value());
}

TEST_F(DecoderConfigTest, AbsentKeysMeanWhatTheyMeanToTransformers) {
  Json json = small_config();
  for (const char* key :
       {"rms_norm_eps", "rope_theta", "num_key_value_heads", "max_position_embeddings",
        "eos_token_id", "hidden_act", "architectures"}) {
    json.erase(key);
  }
  const DecoderConfig config = read(json);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.num_key_value_heads, 6);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST_F(DecoderConfigTest, HeadDimMayDifferFromWidthOverHeads) {
  Json json = small_config();
  json["hidden_size"] = 25;  // no multiple of 6
  json["head_dim"] = 8;
  EXPECT_EQ(read(json).head_dim, 8);
}

TEST_F(DecoderConfigTest, JoinsEosOfBothFiles) {
  Json json = small_config();
  json["eos_token_id"] = {9, 3};
  json["bos_token_id"] = 1;
  write(folder_.path() / "generation_config.json", R"({"eos_token_id": [3, 5]})");
  const DecoderConfig config = read(json);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(3, 5, 9));
  EXPECT_EQ(config.bos_token_id, 1);
  write(folder_.path() / "generation_config.json", R"({"eos_token_id": 4)");  // cut off
  EXPECT_THROW(read(json), base::Error);
}

TEST_F(DecoderConfigTest, RefusesWhatItCannotRun) {
  EXPECT_EQ(error_of([](Json&) {}), "");
  EXPECT_THAT(error_of([](Json& j) { j["model_type"] = "gpt2"; }), HasSubstr("LlamaForCausalLM"));
  EXPECT_THAT(error_of([](Json& j) { j.erase("model_type"); }), HasSubstr("model_type"));
  EXPECT_THAT(error_of([](Json& j) { j["architectures"] = {"MistralForCausalLM"}; }),
              HasSubstr("Supported"));
  EXPECT_THAT(error_of([](Json& j) { j["hidden_act"] = "gelu"; }), HasSubstr("silu"));
  EXPECT_THAT(error_of([](Json& j) {
                j["quantization_config"] = {{"bits", 4}};
              }),
              HasSubstr("unquantised"));
  EXPECT_THAT(error_of([](Json& j) {
                j["rope_scaling"] = {{"type", "yarn"}, {"factor", 2}};
              }),
              HasSubstr("llama3"));
  EXPECT_THAT(error_of([](Json& j) {
                j["rope_scaling"] = {{"type", "linear"}};
              }),
              HasSubstr("factor"));
  EXPECT_THAT(error_of([](Json& j) { j["partial_rotary_factor"] = 0.5; }),
              HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(error_of([](Json& j) {
                j["rope_parameters"] = {{"rope_type", "default"}};
                j["rope_scaling"] = {{"type", "linear"}, {"factor", 2}};
              }),
              HasSubstr("twice"));
}

TEST_F(DecoderConfigTest, RefusesSizesThatDoNotFit) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    EXPECT_THAT(error_of([&](Json& j) { j.erase(key); }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = 0; }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = -4; }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = 2.5; }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = "many"; }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = std::int64_t{1} << 40; }), HasSubstr(key));
    EXPECT_THAT(error_of([&](Json& j) { j[key] = std::uint64_t{1} << 63; }), HasSubstr(key));
  }
  EXPECT_THAT(error_of([](Json& j) { j["num_key_value_heads"] = 4; }), HasSubstr("divisor"));
  EXPECT_THAT(error_of([](Json& j) { j["num_key_value_heads"] = 12; }),
              HasSubstr("num_key_value_heads"));
  EXPECT_THAT(error_of([](Json& j) { j["hidden_size"] = 25; }), HasSubstr("multiple"));
  EXPECT_THAT(error_of([](Json& j) { j["head_dim"] = 5; }), HasSubstr("even"));
  EXPECT_THAT(error_of([](Json& j) { j["eos_token_id"] = 100; }), HasSubstr("eos_token_id"));
  EXPECT_THAT(error_of([](Json& j) { j["eos_token_id"] = {1, "x"}; }), HasSubstr("eos_token_id"));
  EXPECT_THAT(error_of([](Json& j) { j["rms_norm_eps"] = 0; }), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(error_of([](Json& j) { j["tie_word_embeddings"] = 1; }), HasSubstr("true or false"));
}

TEST_F(DecoderConfigTest, SaysWhatIsWrongWithTheFolder) {
  EXPECT_THAT([&] { read_decoder_config(folder_.path() / "absent"); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("does not exist")));
  EXPECT_THAT([&] { read_decoder_config(folder_.path()); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("no config.json")));
  write(folder_.path() / "config.json", small_config().dump().substr(0, 100));
  EXPECT_THAT([&] { read_decoder_config(folder_.path()); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("config.json")));
  write(folder_.path() / "config.json", "[]");
  EXPECT_THAT([&] { read_decoder_config(folder_.path()); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("object")));
  EXPECT_THAT([&] { read_decoder_config(folder_.path() / "config.json"); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("not a folder")));
}

}  // namespace
}  // namespace baton::weights
