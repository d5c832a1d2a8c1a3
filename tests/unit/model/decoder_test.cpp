// The decoder's forward pass: against logits made with transformers, and packing, caches and types
// against itself.

#include "baton/model/decoder.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "model/cache_access.hpp"
#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::Decoder;
using model::KvCache;

class TinyModel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
  const at::NoGradGuard frozen_;
};

std::string test_name(const ::testing::TestParamInfo<std::string>& parameter) {
  std::string name = parameter.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Folders, TinyModel, ::testing::ValuesIn(tiny_names()), test_name);
INSTANTIATE_TEST_SUITE_P(Families, TinyModel, ::testing::ValuesIn(family_names()), test_name);

TEST_P(TinyModel, LogitsEqualTransformers) {
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const TensorMap golden = read_tensors(tiny_folder(GetParam()) / "golden.safetensors");
  double largest = 0;
  for (int i = 0; i < 3; ++i) {
    const at::Tensor& expected = golden.at(fmt::format("row{}.logits", i));
    const at::Tensor found = logits_of(*model, {to_row(golden.at(fmt::format("row{}.ids", i)))});
    ASSERT_EQ(found.sizes(), expected.sizes());
    largest = std::max(largest, max_difference(found, expected));
  }
  std::printf("%s: largest difference of logits %.2e\n", GetParam().c_str(), largest);
  EXPECT_LE(largest, 1e-4);  // measured 1.2e-5
}

TEST_P(TinyModel, PackedRowsEqualSeparatePasses) {
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const std::int64_t vocab = model->config().vocab_size;
  const std::vector<Row> rows{random_row(9, vocab, 1), random_row(1, vocab, 2),
                              random_row(30, vocab, 3), random_row(4, vocab, 4)};
  const at::Tensor together = logits_of(*model, rows);
  std::int64_t begin = 0;
  for (const Row& row : rows) {
    const auto length = static_cast<std::int64_t>(row.size());
    EXPECT_LE(max_difference(together.narrow(0, begin, length), logits_of(*model, {row})), 1e-5);
    begin += length;
  }
}

// Teacher forcing: after a prefill of part of each row, step by step the logits are those of the
// whole row.
TEST_P(TinyModel, DecodingFromTheCacheEqualsRecomputing) {
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const std::int64_t vocab = model->config().vocab_size;
  const std::vector<std::size_t> prompts{7, 1, 19};
  constexpr std::size_t kSteps = 12;
  std::vector<Row> whole;
  std::vector<Row> begun;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    whole.push_back(random_row(static_cast<std::int64_t>(prompts[i] + kSteps), vocab, 10 + i));
    begun.emplace_back(whole[i].begin(),
                       whole[i].begin() + static_cast<std::ptrdiff_t>(prompts[i]));
  }
  // A position's logits do not depend on later tokens: one pass over a whole row recomputes every
  // step.
  std::vector<at::Tensor> expected;
  for (const Row& row : whole) {
    expected.push_back(logits_of(*model, {row}));
  }
  for (const std::int64_t spare : {0, 3, 40}) {  // 0 and 3 make the cache grow on the way
    KvCache cache = cache_of(*model, begun, spare);
    for (std::size_t step = 0; step < kSteps; ++step) {
      std::vector<std::int64_t> tokens;
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        tokens.push_back(whole[i][prompts[i] + step]);
      }
      const at::Tensor found =
          model->logits(model->forward_step(at::tensor(tokens, at::kLong), nullptr, cache));
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        const auto place = static_cast<std::int64_t>(prompts[i] + step);
        ASSERT_LE(max_difference(found[static_cast<std::int64_t>(i)], expected[i][place]), 5e-5)
            << "row " << i << ", step " << step << ", spare " << spare;
        ASSERT_EQ(cache.lengths()[i], place + 1);
      }
    }
  }
}

TEST_P(TinyModel, BFloat16IsNear) {
  const std::unique_ptr<Decoder> exact = load_tiny(GetParam());
  const std::unique_ptr<Decoder> rounded = load_tiny(GetParam(), at::kBFloat16);
  const std::vector<Row> rows{random_row(17, exact->config().vocab_size, 5)};
  EXPECT_EQ(rounded->dtype(), at::kBFloat16);
  const at::Tensor expected = logits_of(*exact, rows);
  const at::Tensor found = logits_of(*rounded, rows);
  EXPECT_EQ(found.scalar_type(), at::kFloat);
  // Eight bits of mantissa through a few layers; a wrong layout would give no correlation at all.
  const double error = (found - expected).norm().item<double>() / expected.norm().item<double>();
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.06);
}

// The older spelling of config.json is the same model.
TEST_P(TinyModel, OlderConfigsMakeTheSameModel) {
  if (GetParam() == "tiny-sharded") {
    GTEST_SKIP() << "copied as one file";
  }
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ("older-" + GetParam());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::copy(tiny_folder(GetParam()) / "model.safetensors",
                        folder / "model.safetensors");
  std::filesystem::copy(tiny_folder(GetParam()) / "config_older.json", folder / "config.json");
  const std::unique_ptr<Decoder> model = load_tiny(GetParam());
  const std::unique_ptr<Decoder> older = Decoder::load(folder, at::kFloat, at::kCPU);
  const std::vector<Row> rows{random_row(33, model->config().vocab_size, 1)};
  EXPECT_TRUE(at::equal(logits_of(*model, rows), logits_of(*older, rows)));
  EXPECT_EQ(weights::canonical_facts(model->config()), weights::canonical_facts(older->config()));
  std::filesystem::remove_all(folder);
}

TEST(Decoder, TheTwinAgrees) {
  const at::NoGradGuard frozen;
  for (const std::string& name : tiny_names()) {
    if (name == "tiny-rope-llama3") {
      continue;  // the twin does not know llama3 scaling
    }
    const std::unique_ptr<Decoder> model = load_tiny(name);
    const Row row = random_row(21, model->config().vocab_size, 6);
    EXPECT_LE(max_difference(logits_of(*model, {row}),
                             TwinLlama(tiny_folder(name), model->config()).logits(row)),
              1e-4)
        << name;
  }
}

TEST(Decoder, SelectedCacheRowsGoOnAlone) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny("tiny-gqa-tied");
  const std::vector<Row> rows{random_row(5, 96, 1), random_row(14, 96, 2), random_row(2, 96, 3)};
  for (const std::int64_t spare : {0, 4}) {
    KvCache cache = cache_of(*model, rows, spare);
    KvCache selected = cache.select_rows({2, 0, 2});
    EXPECT_EQ(selected.lengths(), (std::vector<std::int64_t>{2, 5, 2}));
    at::Tensor found = model->forward_step(at::tensor({7, 8, 9}, at::kLong), nullptr, selected);
    found = model->forward_step(at::tensor({17, 18, 19}, at::kLong), nullptr, selected);
    const std::vector<std::pair<std::size_t, Row>> tails{{2, {7, 17}}, {0, {8, 18}}, {2, {9, 19}}};
    for (std::size_t i = 0; i < tails.size(); ++i) {
      Row whole = rows[tails[i].first];
      whole.insert(whole.end(), tails[i].second.begin(), tails[i].second.end());
      EXPECT_LE(max_difference(found[static_cast<std::int64_t>(i)], hidden_of(*model, {whole})[-1]),
                1e-5);
    }
    // The original is as it was.
    EXPECT_EQ(cache.lengths(), (std::vector<std::int64_t>{5, 14, 2}));
    const at::Tensor other = model->forward_step(at::tensor({1, 2, 3}, at::kLong), nullptr, cache);
    Row whole = rows[1];
    whole.push_back(2);
    EXPECT_LE(max_difference(other[1], hidden_of(*model, {whole})[-1]), 2e-5);
  }
}

// Decoding steps use up the room; rows that leave do not bring it back.
TEST(KvCache, ShrinkingKeepsTheRoomThatIsLeft) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny("tiny-gqa-tied");
  KvCache cache =
      cache_of(*model, {random_row(5, 96, 1), random_row(9, 96, 2), random_row(2, 96, 3)}, 6);
  EXPECT_EQ(model::CacheAccess::keys(cache, 0).size(2), 9 + 6);
  model->forward_step(at::tensor({1, 2, 3}, at::kLong), nullptr, cache);
  model->forward_step(at::tensor({1, 2, 3}, at::kLong), nullptr, cache);
  cache = cache.select_rows({0, 2});
  EXPECT_EQ(cache.lengths(), (std::vector<std::int64_t>{7, 4}));
  EXPECT_EQ(model::CacheAccess::keys(cache, 0).size(2), 7 + 4);
  model->forward_step(at::tensor({1, 3}, at::kLong), nullptr, cache);
  cache = cache.select_rows({1});
  EXPECT_EQ(model::CacheAccess::keys(cache, 0).size(2), 5 + 3);
}

// Prompts read in passes of their own, one of them in two parts: every row goes on as alone.
TEST(KvCache, PromptsOfSeveralPassesGoOnAsAlone) {
  const at::NoGradGuard frozen;
  const std::unique_ptr<Decoder> model = load_tiny("tiny-gqa-tied");
  const std::vector<Row> rows{random_row(5, 96, 1), random_row(14, 96, 2), random_row(2, 96, 3)};
  for (const std::int64_t spare : {0, 6}) {
    model::PassCaches first;
    hidden_of(*model, {rows[0], rows[1]}, nullptr, &first);
    model::PassCaches second;
    hidden_of(*model, {rows[2]}, nullptr, &second);
    model::PassCaches longer{.prefixes = second.kept};
    hidden_of(*model, {{6}}, nullptr, &longer);
    KvCache cache(std::vector{first.kept[0], first.kept[1], longer.kept[0]}, spare);
    EXPECT_EQ(cache.lengths(), (std::vector<std::int64_t>{5, 14, 3}));
    EXPECT_EQ(cache.room(), spare);
    at::Tensor found = model->forward_step(at::tensor({7, 8, 9}, at::kLong), nullptr, cache);
    found = model->forward_step(at::tensor({17, 18, 19}, at::kLong), nullptr, cache);
    const std::vector<Row> tails{{7, 17}, {8, 18}, {6, 9, 19}};
    for (std::size_t i = 0; i < tails.size(); ++i) {
      Row whole = rows[i];
      whole.insert(whole.end(), tails[i].begin(), tails[i].end());
      EXPECT_LE(max_difference(found[static_cast<std::int64_t>(i)], hidden_of(*model, {whole})[-1]),
                1e-5);
    }
  }
}

TEST(Decoder, LogitsOfSomeTokensAreThoseColumns) {
  const at::NoGradGuard frozen;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const std::unique_ptr<Decoder> model = load_tiny("tiny-mha-untied", dtype);
    const at::Tensor hidden = hidden_of(*model, {random_row(6, 101, 1)});
    const std::vector<std::int64_t> tokens{100, 0, 57};
    const at::Tensor expected =
        model->logits(hidden).index_select(1, at::tensor(tokens, at::kLong));
    const at::Tensor found = model->logits_of(hidden, tokens);
    EXPECT_EQ(found.scalar_type(), at::kFloat);
    EXPECT_LE(max_difference(found, expected), dtype == at::kFloat ? 4e-6 : 0.05);
    EXPECT_LE(max_difference(model->head_rows(tokens),
                             read_tensors(tiny_folder("tiny-mha-untied") / "model.safetensors")
                                 .at("lm_head.weight")
                                 .index_select(0, at::tensor(tokens, at::kLong))),
              dtype == at::kFloat ? 0.0 : 0.01);
  }
}

TEST(Decoder, WeightsThatDoNotFitTheConfigAreRefused) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "misfit";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::copy(tiny_folder("tiny-gqa-tied") / "model.safetensors",
                        folder / "model.safetensors");
  base::Json config =
      base::read_json_file(tiny_folder("tiny-gqa-tied") / "config.json", base::ErrorKind::kModel);
  const auto refused_with = [&](const std::string& key, const base::Json& value,
                                const std::string& tensor) {
    base::Json changed = config;
    changed[key] = value;
    std::ofstream(folder / "config.json") << changed.dump();
    try {
      Decoder::load(folder, at::kFloat, at::kCPU);
      ADD_FAILURE() << key << " was accepted";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(tensor));
    }
  };
  refused_with("intermediate_size", 65, "mlp.gate_proj.weight");
  refused_with("vocab_size", 97, "model.embed_tokens.weight");
  refused_with("num_key_value_heads", 4, "self_attn.k_proj.weight");
  refused_with("num_hidden_layers", 3, "model.layers.2.");
  refused_with("tie_word_embeddings", false, "lm_head.weight");
  refused_with("attention_bias", true, "self_attn.q_proj.bias");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace baton::test
