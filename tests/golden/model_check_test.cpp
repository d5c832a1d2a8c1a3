// The real model against logits and greedy continuations made with transformers in fp32.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "baton/base/json.hpp"
#include "baton/model/decoder.hpp"
#include "unit/model/model_fixture.hpp"

namespace baton::test {
namespace {

using model::Decoder;
using model::KvCache;

class RealModel : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(2);
    const auto folder = real_model_folder();
    if (!folder) {
      GTEST_SKIP() << "the model folder is not there: set BATON_MODEL_DIR or run the set-up script";
    }
    model_ = Decoder::load(*folder, at::kFloat, at::kCPU);
  }

  const at::NoGradGuard frozen_;
  std::unique_ptr<Decoder> model_;
};

TEST_F(RealModel, LogitsEqualTransformers) {
  const TensorMap golden = read_tensors(golden_folder() / "model" / "smollm2-logits.safetensors");
  std::vector<at::Tensor> hidden;
  double largest = 0;
  std::int64_t num_tokens = 0;
  for (int i = 0; i < 8; ++i) {
    const auto part = [&](const char* name) { return golden.at(fmt::format("row{}.{}", i, name)); };
    hidden.push_back(hidden_of(*model_, {to_row(part("ids"))}));
    const at::Tensor logits = model_->logits(hidden.back());
    largest =
        std::max(largest, max_difference(logits.gather(1, part("top_ids")), part("top_logits")));
    largest = std::max(largest, max_difference(logits.index_select(1, golden.at("columns")),
                                               part("column_logits")));
    num_tokens += logits.size(0);
  }
  const at::Tensor places = golden.at("full.row_and_position");
  for (std::int64_t i = 0; i < places.size(0); ++i) {
    const at::Tensor& row = hidden[static_cast<std::size_t>(places[i][0].item<std::int64_t>())];
    const at::Tensor found = model_->logits(row[places[i][1].item<std::int64_t>()].unsqueeze(0))[0];
    largest = std::max(largest, max_difference(found, golden.at(fmt::format("full{}.logits", i))));
  }
  std::printf("%lld positions: largest difference of logits %.2e\n",
              static_cast<long long>(num_tokens), largest);
  RecordProperty("largest_difference", fmt::format("{:.3e}", largest));
  EXPECT_LE(largest, 1e-4);
}

// The greedy continuation of each prompt, all in one batch; a finished row is fed its end token on.
std::vector<Row> continue_greedily(const Decoder& model,
                                   const std::vector<Row>& prompts,
                                   std::int64_t end,
                                   int max_new) {
  model::PassCaches caches;
  const model::PackedRows packed = model::pack_rows(prompts, at::kCPU);
  at::Tensor hidden =
      model.forward_hidden(model.embedder().embed(packed), packed, nullptr, &caches);
  KvCache cache(caches.kept, max_new);
  std::vector<std::int64_t> last;
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    last.push_back(packed.offsets[row + 1] - 1);
  }
  hidden = hidden.index_select(0, at::tensor(last, at::kLong));
  std::vector<Row> out(prompts.size());
  for (int step = 0; step < max_new; ++step) {
    const at::Tensor tokens = model.logits(hidden).argmax(1);
    bool all_done = true;
    for (std::size_t row = 0; row < out.size(); ++row) {
      if (out[row].empty() || out[row].back() != end) {
        out[row].push_back(tokens[static_cast<std::int64_t>(row)].item<std::int32_t>());
      }
      all_done = all_done && out[row].back() == end;
    }
    if (all_done) {
      break;
    }
    hidden = model.forward_step(tokens, nullptr, cache);
  }
  return out;
}

// A different token is allowed only where the two highest logits are closer than kTie; that text
// ends there.
TEST_F(RealModel, GreedyTextsEqualTransformers) {
  constexpr double kTie = 2e-4;
  const std::filesystem::path file = golden_folder() / "model" / "smollm2-greedy.json";
  const base::Json golden = base::read_json_file(file, base::ErrorKind::kData);
  const auto end = golden.at("end").get<std::int64_t>();
  std::vector<base::Json> texts(golden.at("rows").begin(), golden.at("rows").end());
  ASSERT_EQ(texts.size(), 50U);
  int num_equal = 0;
  int num_ties = 0;
  for (std::size_t begin = 0; begin < texts.size(); begin += 10) {
    std::vector<Row> prompts;
    for (std::size_t i = begin; i < begin + 10; ++i) {
      prompts.push_back(texts[i].at("prompt").get<Row>());
    }
    const std::vector<Row> found =
        continue_greedily(*model_, prompts, end, golden.at("max_new_tokens").get<int>());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const base::Json& text = texts[begin + i];
      const Row expected = text.at("tokens").get<Row>();
      const auto [left, right] =
          std::mismatch(found[i].begin(), found[i].end(), expected.begin(), expected.end());
      if (left == found[i].end() && right == expected.end()) {
        ++num_equal;
        continue;
      }
      const auto place = static_cast<std::size_t>(right - expected.begin());
      ASSERT_LT(place, expected.size()) << text.at("name");
      const double gap = text.at("gaps")[place].get<double>();
      EXPECT_LT(gap, kTie) << text.at("name") << " differs at token " << place;
      num_ties += gap < kTie ? 1 : 0;
    }
  }
  std::printf("%d of 50 greedy texts equal, %d end at a tie\n", num_equal, num_ties);
  RecordProperty("num_equal", num_equal);
  EXPECT_EQ(num_equal + num_ties, 50);
  EXPECT_GE(num_equal, 45) << "ties this close are rare";
}

// bf16 weights stay in the file's mapping; eight bits of mantissa in the activations.
TEST_F(RealModel, BFloat16IsNear) {
  const auto rounded = Decoder::load(*real_model_folder(), at::kBFloat16, at::kCPU);
  EXPECT_EQ(rounded->fingerprint(), model_->fingerprint());
  const TensorMap golden = read_tensors(golden_folder() / "model" / "smollm2-logits.safetensors");
  const std::vector<Row> rows{to_row(golden.at("row3.ids"))};
  const at::Tensor expected = logits_of(*model_, rows);
  const at::Tensor found = logits_of(*rounded, rows);
  const double error = (found - expected).norm().item<double>() / expected.norm().item<double>();
  std::printf("bf16: relative error of the logits %.2e\n", error);
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.05);
}

}  // namespace
}  // namespace baton::test
