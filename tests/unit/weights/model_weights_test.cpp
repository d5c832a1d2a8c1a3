#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "baton/base/error.hpp"
#include "baton/weights/safetensors.hpp"
#include "temporary_folder.hpp"

namespace baton::weights {
namespace {

using ::testing::HasSubstr;

const std::string kConfig =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8,
  "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "torch_dtype": "x"})";

class ModelWeightsTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
  }
  /// A shard of one-number tensors.
  void write_shard(const std::filesystem::path& path,
                   const std::vector<std::pair<std::string, float>>& tensors) {
    std::vector<TensorToWrite> list;
    for (const auto& [name, value] : tensors) {
      list.push_back({name, DType::kF32, {1}, std::as_bytes(std::span(&value, 1))});
    }
    write_safetensors(path, list, {});
  }
  void write_index(const std::string& weight_map) {
    write("model.safetensors.index.json",
          fmt::format(R"({{"metadata":{{}},"weight_map":{}}})", weight_map));
  }
  std::string error() {
    try {
      const ModelWeights weights(folder_.path());
    } catch (const base::Error& caught) {
      EXPECT_EQ(caught.kind(), base::ErrorKind::kModel);
      return caught.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(ModelWeightsTest, ReadsShardsAndFingerprintsThemLikeOneFile) {
  write("config.json", kConfig);
  write_shard(folder_.path() / "a.safetensors", {{"w1", 1.0F}, {"w3", 3.0F}});
  write_shard(folder_.path() / "b.safetensors", {{"w2", 2.0F}});
  write_index(R"({"w1":"a.safetensors","w2":"b.safetensors","w3":"a.safetensors"})");
  const ModelWeights sharded(folder_.path());
  EXPECT_TRUE(sharded.contains("w2"));
  EXPECT_EQ(sharded.at("w2").bytes.size(), 4U);
  EXPECT_THAT([&] { sharded.at("w4"); },
              ::testing::ThrowsMessage<base::Error>(HasSubstr("nearest name is w")));

  write_shard(folder_.path() / "model.safetensors", {{"w1", 1.0F}, {"w2", 2.0F}, {"w3", 3.0F}});
  EXPECT_EQ(ModelWeights(folder_.path()).fingerprint(), sharded.fingerprint());
  EXPECT_EQ(sharded.fingerprint().size(), 64U);
}

TEST_F(ModelWeightsTest, FingerprintCoversConfigAndBytes) {
  write("config.json", kConfig);
  write_shard(folder_.path() / "model.safetensors", {{"w1", 1.0F}});
  const std::string first = ModelWeights(folder_.path()).fingerprint();
  write_shard(folder_.path() / "model.safetensors", {{"w1", 1.0000001F}});
  EXPECT_NE(ModelWeights(folder_.path()).fingerprint(), first);
  write_shard(folder_.path() / "model.safetensors", {{"w1x", 1.0F}});
  EXPECT_NE(ModelWeights(folder_.path()).fingerprint(), first);
  write_shard(folder_.path() / "model.safetensors", {{"w1", 1.0F}});
  EXPECT_EQ(ModelWeights(folder_.path()).fingerprint(), first);
  // What changes results counts; the stored name of the dtype does not.
  std::string config = kConfig;
  config.replace(config.find("\"x\""), 3, "\"y\"");
  write("config.json", config);
  EXPECT_EQ(ModelWeights(folder_.path()).fingerprint(), first);
  config.insert(1, "\"rope_theta\": 10001.0,");
  write("config.json", config);
  EXPECT_NE(ModelWeights(folder_.path()).fingerprint(), first);
}

TEST_F(ModelWeightsTest, RefusesIndexesThatLeaveTheFolder) {
  TemporaryFolder elsewhere;
  write_shard(elsewhere.path() / "out.safetensors", {{"w", 1.0F}});
  for (const std::string& name :
       {std::string("../out.safetensors"), std::string(".."), std::string("."), std::string(),
        std::string("sub/a.safetensors"), std::string("sub\\\\a.safetensors"),
        (elsewhere.path() / "out.safetensors").string()}) {
    write_index(fmt::format(R"({{"w":"{}"}})", name));
    EXPECT_THAT(error(), HasSubstr("outside its folder")) << name;
  }
  std::filesystem::create_symlink(elsewhere.path() / "out.safetensors",
                                  folder_.path() / "link.safetensors");
  write_index(R"({"w":"link.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("leads out of its folder"));
  write_shard(folder_.path() / "real.safetensors", {{"w", 1.0F}});
  std::filesystem::create_symlink("real.safetensors", folder_.path() / "inner.safetensors");
  write_index(R"({"w":"inner.safetensors"})");
  EXPECT_EQ(error(), "");  // a link that stays inside
}

TEST_F(ModelWeightsTest, RefusesIndexAndShardsThatDisagree) {
  write_shard(folder_.path() / "a.safetensors", {{"w1", 1.0F}});
  write_shard(folder_.path() / "b.safetensors", {{"w1", 1.0F}, {"w2", 1.0F}});
  write_index(R"({"w1":"a.safetensors","w2":"c.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("A shard of the model is missing"));
  write_index(R"({"w1":"a.safetensors","w2":"b.safetensors"})");  // w1 stands in both
  EXPECT_THAT(error(), HasSubstr("does not place there"));
  write_index(R"({"w1":"a.safetensors","w9":"a.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("w9"));
  write_index(R"({"w1":"a.bin"})");
  EXPECT_THAT(error(), HasSubstr("no safetensors file"));
  for (const char* map : {"[]", "{}", "null", R"({"w1":1})"}) {
    write_index(map);
    EXPECT_NE(error(), "") << map;
  }
  write("model.safetensors.index.json", "{");
  EXPECT_NE(error(), "");
}

TEST_F(ModelWeightsTest, NamesSafetensorsWhereOnlyPickleIsThere) {
  EXPECT_THAT(error(), HasSubstr("holds no weights"));
  write("pytorch_model.bin", "x");
  EXPECT_THAT(error(),
              ::testing::AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("save_pretrained")));
}

}  // namespace
}  // namespace baton::weights
