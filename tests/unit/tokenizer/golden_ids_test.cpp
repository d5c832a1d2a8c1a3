// Ids and texts against what the `tokenizers` library gives
// (tests/golden/make_tokenizer_golden.py).

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "support/benchmark_rows.hpp"
#include "tokenizer_fixture.hpp"

namespace baton::tokenizer {
namespace {

void append_code_point(std::uint32_t point, std::string& text) {
  const auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0U | point >> 6);
    put(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    put(0xE0U | point >> 12);
    put(0x80U | (point >> 6 & 0x3FU));
    put(0x80U | (point & 0x3FU));
  } else {
    put(0xF0U | point >> 18);
    put(0x80U | (point >> 12 & 0x3FU));
    put(0x80U | (point >> 6 & 0x3FU));
    put(0x80U | (point & 0x3FU));
  }
}

// The small tokenizers lie beside their golden files; those of models are too big for that.
std::filesystem::path folder_of(const std::string& name) {
  if (std::filesystem::exists(golden_folder() / name / "tokenizer.json")) {
    return golden_folder() / name;
  }
  return name == "real" ? model_folder() : source_folder() / ".deps/vocabularies" / name;
}

std::string missing(const std::string& name) {
  return "no tokenizer.json in " + folder_of(name).string() +
         (name == "real" ? " (BATON_MODEL_DIR names another folder)"
                         : ": tests/golden/make_vocabulary_golden.py makes it");
}

class GoldenIds : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto folder = folder_of(GetParam());
    if (!std::filesystem::exists(folder / "tokenizer.json")) {
      GTEST_SKIP() << missing(GetParam());
    }
    tokenizer_ = load_tokenizer(folder);
    golden_ = read_golden(GetParam() + "/ids.json");
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  base::Json golden_;
};

TEST_P(GoldenIds, TortureList) {
  ASSERT_GT(golden_["cases"].size(), 200U);
  for (const auto& item : golden_["cases"]) {
    const auto text = item["text"].get<std::string>();
    const auto ids = item["ids"].get<std::vector<TokenId>>();
    const auto special =
        item.contains("special") ? item["special"].get<std::vector<TokenId>>() : ids;
    EXPECT_EQ(tokenizer_->encode(text), ids) << item["text"].dump();
    EXPECT_EQ(tokenizer_->encode_with_special(text), special) << item["text"].dump();
    EXPECT_EQ(tokenizer_->decode(special, true), item["decoded"].get<std::string>())
        << item["text"].dump();
    EXPECT_EQ(tokenizer_->decode(special, false), item["decoded_all"].get<std::string>())
        << item["text"].dump();
  }
}

TEST_P(GoldenIds, DecodeOfArbitraryIds) {
  ASSERT_GT(golden_["decodes"].size(), 100U);
  for (const auto& item : golden_["decodes"]) {
    const auto ids = item["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer_->decode(ids, true), item["skip"].get<std::string>()) << item["ids"].dump();
    EXPECT_EQ(tokenizer_->decode(ids, false), item["all"].get<std::string>()) << item["ids"].dump();
  }
}

TEST_P(GoldenIds, VeryLongLinesInLittleTime) {
  const std::clock_t start = std::clock();  // processor time: a busy machine does not count
  for (const auto& item : golden_["long"]) {
    std::string text;
    for (const auto& part : item["parts"]) {
      const auto piece = part[0].get<std::string>();
      for (auto count = part[1].get<int>(); count > 0; --count) {
        text += piece;
      }
    }
    const auto ids = tokenizer_->encode(text);
    base::Sha256 digest;
    add_ids(digest, ids);
    EXPECT_EQ(ids.size(), item["num_ids"].get<std::size_t>()) << item["parts"].dump();
    EXPECT_EQ(digest.hex(), item["sha256"].get<std::string>()) << item["parts"].dump();
  }
  // A quadratic step over a megabyte would take hours.
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 60.0);
}

TEST_P(GoldenIds, EveryCodePointOfEveryPlane) {
  for (std::uint32_t plane = 0; plane < 17; ++plane) {
    base::Sha256 digest;
    for (std::uint32_t block = plane << 8; block < (plane + 1) << 8; ++block) {
      std::string text;
      for (std::uint32_t point = block << 8; point < (block + 1) << 8; ++point) {
        if (point >= 0xD800 && point < 0xE000) {
          continue;
        }
        std::string c;
        append_code_point(point, c);
        text += "a" + c + "1" + c + " " + c + c;
      }
      add_ids(digest, tokenizer_->encode(text));
    }
    EXPECT_EQ(digest.hex(), golden_["planes"][plane].get<std::string>()) << "plane " << plane;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         GoldenIds,
                         testing::Values("gpt2",
                                         "gpt2_prefix",
                                         "llama3",
                                         "smollm2",
                                         "gaps",
                                         "llama2",
                                         "mistral",
                                         "metaspace",
                                         "gemma",
                                         "qwen",
                                         "tekken",
                                         "real",
                                         "mistral_v1_real",
                                         "tekken_real",
                                         "llama3_real",
                                         "qwen_real",
                                         "gemma_real"),
                         [](const auto& instance) { return instance.param; });

class BenchmarkIds : public testing::TestWithParam<std::string> {};

TEST_P(BenchmarkIds, EveryRowOfEveryFile) {
  if (!std::filesystem::exists(folder_of(GetParam()) / "tokenizer.json")) {
    GTEST_SKIP() << missing(GetParam());
  }
  const std::filesystem::path folder = test::benchmark_folder();
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << test::kNoBenchmarkRows << folder;
  }
  const auto tokenizer = load_tokenizer(folder_of(GetParam()));
  const auto golden = read_golden(GetParam() + "/benchmark.json");
  ASSERT_GT(golden["files"].size(), 20U);
  for (const auto& [name, expected] : golden["files"].items()) {
    const std::string content = base::read_file(folder / name, base::ErrorKind::kData);
    ASSERT_EQ(base::sha256_hex(content), expected["file_sha256"].get<std::string>()) << name;
    base::Sha256 digest;
    int num_texts = 0;
    for (std::size_t begin = 0; begin < content.size();) {
      const std::size_t end = std::min(content.find('\n', begin), content.size());
      const std::string line = content.substr(begin, end - begin);
      begin = end + 1;
      if (line.empty()) {
        continue;
      }
      const auto row = base::parse_json(line, base::ErrorKind::kData, name);
      for (const char* field : {"full_prompt", "input", "output"}) {
        const auto value = row.value(field, base::Json());
        for (const auto& text : value.is_array() ? value : base::Json::array({value})) {
          if (text.is_string()) {
            add_ids(digest, tokenizer->encode(text.get<std::string>()));
            ++num_texts;
          }
        }
      }
    }
    EXPECT_EQ(num_texts, expected["num_texts"].get<int>()) << name;
    EXPECT_EQ(digest.hex(), expected["sha256"].get<std::string>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds,
    BenchmarkIds,
    testing::Values(
        "real", "mistral_v1_real", "tekken_real", "llama3_real", "qwen_real", "gemma_real"),
    [](const auto& instance) { return instance.param; });

TEST(RealTokenizer, LoadsQuickly) {
  if (!std::filesystem::exists(model_folder() / "tokenizer.json")) {
    GTEST_SKIP() << "no model folder at " << model_folder();
  }
  // Processor time, so that a busy machine does not count; loose enough for sanitizers.
  const std::clock_t start = std::clock();
  const auto tokenizer = load_tokenizer(model_folder());
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 5.0);
  EXPECT_EQ(tokenizer->vocabulary_size(), 49152);
  EXPECT_EQ(tokenizer->token_to_id("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->id_to_token(1), "<|im_start|>");
}

}  // namespace
}  // namespace baton::tokenizer
