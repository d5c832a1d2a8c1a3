// Rows that go on from a prefix read before: against one pass over prefix and row together.

#include "baton/model/prompt_cache.hpp"

#include <gmock/gmock.h>

#include "model_fixture.hpp"

namespace baton::test {
namespace {

using model::AdapterUse;
using model::AdapterUses;
using model::PassCaches;
using model::SharedPrompt;

class PromptCacheOn : public ::testing::TestWithParam<std::string> {
 protected:
  PromptCacheOn() : model_(load_tiny(GetParam())), vocab_(model_->config().vocab_size) {}

  SharedPrompt read(const Row& row, const AdapterUses* uses = nullptr) const {
    PassCaches caches;
    hidden_of(*model_, {row}, uses, &caches);
    return caches.kept.front();
  }
  static Row joined(const Row& first, const Row& second) {
    Row whole = first;
    whole.insert(whole.end(), second.begin(), second.end());
    return whole;
  }

  std::unique_ptr<model::Decoder> model_;
  std::int64_t vocab_;
};
INSTANTIATE_TEST_SUITE_P(Folders,
                         PromptCacheOn,
                         ::testing::Values("tiny-gqa-tied",
                                           "tiny-head-dim",
                                           "tiny-rope-llama3",
                                           "tiny-mistral",
                                           "tiny-qwen3-window",
                                           "tiny-gemma2",
                                           "tiny-gemma3"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(PromptCacheOn, ManyTailsOnOnePrefix) {
  const at::NoGradGuard frozen;
  const Row prefix = random_row(9, vocab_, 1);
  const std::vector<Row> tails{random_row(1, vocab_, 2), random_row(5, vocab_, 3),
                               random_row(3, vocab_, 4)};
  const SharedPrompt shared = read(prefix);
  EXPECT_EQ(shared->num_tokens(), 9);
  const at::Tensor before = shared->keys(0).clone();
  PassCaches caches{.prefixes = {shared, shared, shared}};
  const at::Tensor found = hidden_of(*model_, tails, nullptr, &caches);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < tails.size(); ++i) {
    const Row whole = joined(prefix, tails[i]);
    const auto length = static_cast<std::int64_t>(tails[i].size());
    EXPECT_LE(max_difference(found.narrow(0, begin, length),
                             hidden_of(*model_, {whole}).narrow(0, 9, length)),
              2e-5);
    // What is kept is prefix and tail, as if read at once.
    const SharedPrompt at_once = read(whole);
    for (std::int64_t layer = 0; layer < shared->num_layers(); ++layer) {
      EXPECT_LE(max_difference(caches.kept[i]->keys(layer), at_once->keys(layer)), 2e-5);
      EXPECT_LE(max_difference(caches.kept[i]->values(layer), at_once->values(layer)), 2e-5);
    }
    begin += length;
  }
  EXPECT_TRUE(at::equal(before, shared->keys(0))) << "a prefix is never written";
}

TEST_P(PromptCacheOn, RowsWithAndWithoutPrefixInOnePass) {
  const at::NoGradGuard frozen;
  const Row prefix = random_row(4, vocab_, 1);
  const Row tail = random_row(3, vocab_, 2);
  const Row alone = random_row(6, vocab_, 3);
  PassCaches caches{.prefixes = {read(prefix), nullptr}};
  const at::Tensor found = hidden_of(*model_, {tail, alone}, nullptr, &caches);
  EXPECT_LE(max_difference(found.narrow(0, 0, 3),
                           hidden_of(*model_, {joined(prefix, tail)}).narrow(0, 4, 3)),
            2e-5);
  EXPECT_LE(max_difference(found.narrow(0, 3, 6), hidden_of(*model_, {alone})), 2e-5);
  // Both decode on together.
  model::KvCache cache(caches.kept, 2);
  EXPECT_EQ(cache.lengths(), (std::vector<std::int64_t>{7, 6}));
  const at::Tensor next = model_->forward_step(at::tensor({1, 2}, at::kLong), nullptr, cache);
  EXPECT_LE(max_difference(next[0], hidden_of(*model_, {joined(joined(prefix, tail), {1})})[-1]),
            2e-5);
  EXPECT_LE(max_difference(next[1], hidden_of(*model_, {joined(alone, {2})})[-1]), 2e-5);
}

// An adapter that acts from a position on leaves the prefix to the base: every expert's tail may
// stand on the base's prefix.
TEST_P(PromptCacheOn, ExpertsActiveFromThePrefixsEndShareTheBases) {
  const at::NoGradGuard frozen;
  const Row prefix = random_row(8, vocab_, 1);
  const Row tail = random_row(4, vocab_, 2);
  const SharedPrompt shared = read(prefix);
  for (const std::uint64_t seed : {7U, 8U}) {
    const model::Adapter adapter = random_adapter(model_->config(), 3, 12, {0, 1}, seed);
    const AdapterUses everywhere(adapter);
    PassCaches caches{.prefixes = {shared}};
    const at::Tensor found = hidden_of(*model_, {tail}, &everywhere, &caches);
    AdapterUse from{&adapter};
    from.tokens = model::tokens_from(std::vector<std::int64_t>{0, 12}, std::vector<std::int64_t>{8},
                                     at::kCPU);
    const AdapterUses late({from});
    EXPECT_LE(
        max_difference(found, hidden_of(*model_, {joined(prefix, tail)}, &late).narrow(0, 8, 4)),
        2e-5);
  }
}

}  // namespace
}  // namespace baton::test
