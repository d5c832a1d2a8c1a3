#include "baton/eval/generate.hpp"

#include <gmock/gmock.h>

#include <set>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/eval/ask.hpp"
#include "baton/eval/margins.hpp"
#include "eval_fixture.hpp"

namespace baton::eval {
namespace {

std::vector<Prompt> make_prompts() {
  std::vector<Prompt> prompts;
  for (const std::size_t length : {5U, 9U, 3U, 12U, 7U, 1U, 20U, 4U}) {
    prompts.push_back(make_random_prompt(length, length));
  }
  return prompts;
}

class GenerateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = make_tiny_model(); }
  static void TearDownTestSuite() { model_.reset(); }
  static std::unique_ptr<model::Decoder> model_;
};
std::unique_ptr<model::Decoder> GenerateTest::model_;

TEST_F(GenerateTest, DecodesFromTheCacheAsByRecomputing) {
  const std::vector<Prompt> prompts = make_prompts();
  const model::Adapter adapter = make_random_adapter("a", 1);
  const model::AdapterUses set(adapter);
  DecodeOptions forced = base_decoding();
  forced.forced_first_token = kAccept;
  forced.banned_ids_after_first = {kAccept, kPass};
  for (const auto& [adapters, options] :
       std::vector<std::pair<const model::AdapterUses*, DecodeOptions>>{{nullptr, base_decoding()},
                                                                        {&set, forced}}) {
    // Little spare room makes the cache grow on the way; it must not matter.
    for (const std::int64_t spare : {1, 13}) {
      const std::vector<Decoded> decoded =
          greedy_decode(*model_, prefill(*model_, prompts, adapters, spare), adapters, options);
      ASSERT_EQ(decoded.size(), prompts.size());
      std::set<std::int64_t> ends;
      for (std::size_t row = 0; row < prompts.size(); ++row) {
        const Decoded twin = decode_by_recomputing(*model_, prompts[row], adapters, options);
        EXPECT_EQ(decoded[row].tokens, twin.tokens) << "row " << row;
        EXPECT_EQ(decoded[row].num_new_tokens, twin.num_new_tokens);
        EXPECT_EQ(decoded[row].stopped, twin.stopped);
        ends.insert(twin.num_new_tokens);
      }
      EXPECT_GT(ends.size(), 2U)
          << "rows must end at different positions for this test to mean something";
    }
  }
}

TEST_F(GenerateTest, BansIndicatorsOnlyAfterPositionZero) {
  const std::vector<Prompt> prompts = {make_random_prompt(6, 3)};
  DecodeOptions options{.max_new_tokens = 2};
  const Prompt free =
      greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr, options)[0].tokens;
  ASSERT_EQ(free.size(), 2U);
  options.banned_ids_after_first = {free[0], free[1]};
  const Prompt banned =
      greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr, options)[0].tokens;
  EXPECT_EQ(banned[0], free[0]);  // position 0 is free
  EXPECT_NE(banned[1], free[0]);
  EXPECT_NE(banned[1], free[1]);
  // Where the first token is forced, the first choice is position 1 already.
  options.forced_first_token = free[0];
  options.max_new_tokens = 1;
  EXPECT_EQ(
      greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr, options)[0].tokens[0],
      banned[1]);
}

TEST_F(GenerateTest, CountsChosenTokens) {
  const std::vector<Prompt> prompts = {make_random_prompt(6, 3)};
  const Prompt free = greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr,
                                    {.max_new_tokens = 3})[0]
                          .tokens;
  const Decoded none = greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr,
                                     {.max_new_tokens = 0})[0];
  EXPECT_TRUE(none.tokens.empty());
  EXPECT_EQ(none.num_new_tokens, 0);
  const Decoded stopped = greedy_decode(*model_, prefill(*model_, prompts, nullptr, 4), nullptr,
                                        {.max_new_tokens = 3, .stop_ids = {free[0]}})[0];
  EXPECT_TRUE(stopped.tokens.empty());
  EXPECT_EQ(stopped.num_new_tokens, 1);  // the stop token itself
  EXPECT_TRUE(stopped.stopped);
}

TEST(GenerateTie, TheLowestIdWins) {
  const std::unique_ptr<model::Decoder> model = make_tiny_model(0.0F);  // all logits are 0
  const std::vector<Prompt> prompts = {make_random_prompt(4, 1), make_random_prompt(5, 2)};
  for (const Decoded& decoded :
       greedy_decode(*model, prefill(*model, prompts, nullptr, 4), nullptr,
                     {.max_new_tokens = 3, .banned_ids_after_first = {0, 1}})) {
    EXPECT_EQ(decoded.tokens, (Prompt{0, 2, 2}));
  }
}

TEST(GenerateNonFinite, IsAnErrorOfItsKind) {
  const std::unique_ptr<model::Decoder> model =
      make_tiny_model(std::numeric_limits<float>::quiet_NaN());
  const std::vector<Prompt> prompts = {make_random_prompt(4, 1)};
  try {
    greedy_decode(*model, prefill(*model, prompts, nullptr, 4), nullptr, {.max_new_tokens = 3});
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kNonFinite);
  }
  EXPECT_THROW(margins(*model, make_random_adapter("a", 1), prompts, {kAccept, kPass}, 2),
               base::Error);
}

TEST_F(GenerateTest, MarginsComeInTheOrderGiven) {
  const std::vector<Prompt> prompts = make_prompts();
  const model::Adapter adapter = make_random_adapter("a", 1);
  const model::AdapterUses set(adapter);
  const std::vector<double> batched = margins(*model_, adapter, prompts, {kAccept, kPass}, 3);
  ASSERT_EQ(batched.size(), prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const c10::InferenceMode guard;
    const model::PackedRows rows =
        model::pack_rows(std::span<const Prompt>(&prompts[i], 1), at::kCPU);
    const at::Tensor logits =
        model_->logits(model_->forward_hidden(model_->embedder().embed(rows), rows, &set, nullptr));
    const at::Tensor last = logits.select(0, logits.size(0) - 1);
    EXPECT_NEAR(batched[i], last[kAccept].item<float>() - last[kPass].item<float>(), 1e-5) << i;
  }
  EXPECT_TRUE(margins(*model_, adapter, {}, {kAccept, kPass}, 3).empty());
}

class AskTest : public GenerateTest {
 protected:
  AskTest() {
    for (std::size_t i = 0; i < 3; ++i) {
      adapters_.push_back(make_random_adapter("e" + std::to_string(i), i + 1));
    }
    for (const model::Adapter& adapter : adapters_) {
      experts_.push_back({adapter.name, &adapter, kAccept, kPass, 1e9});
    }
  }
  std::vector<model::Adapter> adapters_;
  std::vector<ChainExpert> experts_;  // thresholds nobody reaches
  LetterTokenizer tokenizer_;
  Question question_{"why", make_random_prompt(10, 5), "e0"};
};

TEST_F(AskTest, TheNewestThatAcceptsDecodesFromItsCache) {
  experts_[1].threshold = -1e9;
  experts_[0].threshold = -1e9;
  const AskResult result = ask({*model_, tokenizer_, base_decoding()}, experts_,
                               *method::make_router("sequential"), question_);
  EXPECT_EQ(result.route, "expert");
  EXPECT_EQ(result.expert, "e1");
  ASSERT_EQ(result.asked.size(), 2U);
  EXPECT_EQ(result.asked[0].expert, "e2");
  EXPECT_EQ(result.asked[1].expert, "e1");
  const std::vector<Prompt> prompts = {question_.prompt};
  EXPECT_EQ(result.asked[0].margin,
            margins(*model_, adapters_[2], prompts, {kAccept, kPass}, 1)[0]);

  DecodeOptions options = base_decoding();
  options.forced_first_token = kAccept;
  options.banned_ids_after_first = {kAccept, kPass};
  const model::AdapterUses set(adapters_[1]);
  const Decoded twin = decode_by_recomputing(*model_, question_.prompt, &set, options);
  EXPECT_EQ(result.answer, answer_text(tokenizer_, twin.tokens));
  EXPECT_EQ(result.new_tokens, twin.num_new_tokens);
  EXPECT_EQ(result.prompt_tokens, 10);
}

TEST_F(AskTest, ThePanelReadsAPromptOncePerExpertAsked) {
  ModelPanel panel(*model_, experts_, question_.prompt, 4);
  const double margin = panel.margin(1);
  EXPECT_EQ(panel.margin(1), margin);
  EXPECT_EQ(panel.num_prefills(), 1);
  const Prefill taken = panel.take(1);
  EXPECT_EQ(panel.num_prefills(), 1);
  EXPECT_EQ(taken.cache.lengths(), std::vector<std::int64_t>{10});
  panel.take(method::kBase);
  EXPECT_EQ(panel.num_prefills(), 2);
}

TEST_F(AskTest, TheBaseAnswersWhenAllPassOrNobodyIsThere) {
  const Decoded twin = decode_by_recomputing(*model_, question_.prompt, nullptr, base_decoding());
  const std::unique_ptr<method::Router> router = method::make_router("sequential");
  const AskResult all_pass =
      ask({*model_, tokenizer_, base_decoding()}, experts_, *router, question_);
  EXPECT_EQ(all_pass.route, "base");
  EXPECT_EQ(all_pass.expert, "");
  EXPECT_EQ(all_pass.asked.size(), 3U);
  EXPECT_EQ(all_pass.answer, answer_text(tokenizer_, twin.tokens));
  const AskResult alone = ask({*model_, tokenizer_, base_decoding()}, {}, *router, question_);
  EXPECT_EQ(alone.answer, all_pass.answer);
  EXPECT_TRUE(alone.asked.empty());
  const AskResult oracle = ask({*model_, tokenizer_, base_decoding()}, experts_,
                               *method::make_router("oracle"), question_);
  EXPECT_EQ(oracle.expert, "e0");
  EXPECT_TRUE(oracle.asked.empty());
  EXPECT_THROW(ask({*model_, tokenizer_, base_decoding()}, experts_, *router, {"", {}, ""}),
               base::Error);
}

TEST(AskJson, HasExactlyTheAgreedKeys) {
  AskResult result{.prompt = "a\n\"b\"",
                   .answer = "yes",
                   .route = "expert",
                   .expert = "qa",
                   .asked = {{"pos", -7.1}, {"qa", 0.1 + 0.2}},
                   .prompt_tokens = 9,
                   .new_tokens = 2};
  EXPECT_EQ(
      ask_json(result),
      R"({"prompt":"a\n\"b\"","answer":"yes","route":"expert","expert":"qa",)"
      R"("asked":[{"expert":"pos","margin":-7.1},{"expert":"qa","margin":0.30000000000000004}],)"
      R"("prompt_tokens":9,"new_tokens":2})");
  result.route = "base";
  result.expert = "";
  EXPECT_TRUE(base::Json::parse(ask_json(result)).at("expert").is_null());
}

}  // namespace
}  // namespace baton::eval
