#include "baton/eval/generate.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/eval/ask.hpp"
#include "baton/eval/margins.hpp"
#include "eval/decode_queue.hpp"
#include "eval_fixture.hpp"
#include "support/peak_memory.hpp"

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
  EXPECT_THROW(margins_in_batches(*model, make_random_adapter("a", 1), prompts, 2), base::Error);
}

TEST_F(GenerateTest, MarginsComeInTheOrderGiven) {
  const std::vector<Prompt> prompts = make_prompts();
  const model::Adapter adapter = make_random_adapter("a", 1);
  const model::AdapterUses set(adapter);
  const std::vector<double> batched = margins_in_batches(*model_, adapter, prompts, 3);
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
  EXPECT_TRUE(margins_in_batches(*model_, adapter, {}, 3).empty());
}

class AskTest : public GenerateTest {
 protected:
  AskTest() {
    for (std::size_t i = 0; i < 3; ++i) {
      adapters_.push_back(make_random_adapter("e" + std::to_string(i), i + 1));
    }
    for (const model::Adapter& adapter : adapters_) {
      experts_.push_back({adapter.name, model::AdapterUses(adapter), experts_.size(), kIndicators, 1e9});
    }
  }
  Answering answering() const { return {*model_, tokenizer_, base_decoding()}; }
  AskResult ask_one(std::span<const ChainExpert> experts, const std::string& router) const {
    return ask(answering(), experts, *method::make_router(router), std::span(&question_, 1))
        .front();
  }

  std::vector<model::Adapter> adapters_;
  std::vector<ChainExpert> experts_;  // thresholds nobody reaches
  LetterTokenizer tokenizer_;
  Question question_{"why", make_random_prompt(10, 5), "e0"};
};

TEST_F(AskTest, TheNewestThatAcceptsDecodesFromItsCache) {
  experts_[1].threshold = -1e9;
  experts_[0].threshold = -1e9;
  const AskResult result = ask_one(experts_, "sequential");
  EXPECT_EQ(result.route, "expert");
  EXPECT_EQ(result.expert, "e1");
  ASSERT_EQ(result.asked.size(), 2U);
  EXPECT_EQ(result.asked[0].expert, "e2");
  EXPECT_EQ(result.asked[1].expert, "e1");
  const std::vector<Prompt> prompts = {question_.prompt};
  EXPECT_EQ(result.asked[0].margin, margins_in_batches(*model_, adapters_[2], prompts, 1)[0]);

  DecodeOptions options = base_decoding();
  options.forced_first_token = kAccept;
  options.banned_ids_after_first = {kAccept, kPass};
  const model::AdapterUses set(adapters_[1]);
  const Decoded twin = decode_by_recomputing(*model_, question_.prompt, &set, options);
  EXPECT_EQ(result.answer, answer_text(tokenizer_, twin.tokens));
  EXPECT_EQ(result.new_tokens, twin.num_new_tokens);
  EXPECT_EQ(result.prompt_tokens, 10);
}

TEST_F(AskTest, TheBaseAnswersWhenAllPassOrNobodyIsThere) {
  const Decoded twin = decode_by_recomputing(*model_, question_.prompt, nullptr, base_decoding());
  const AskResult all_pass = ask_one(experts_, "sequential");
  EXPECT_EQ(all_pass.route, "base");
  EXPECT_EQ(all_pass.expert, "");
  EXPECT_EQ(all_pass.asked.size(), 3U);
  EXPECT_EQ(all_pass.answer, answer_text(tokenizer_, twin.tokens));
  const AskResult alone = ask_one({}, "sequential");
  EXPECT_EQ(alone.answer, all_pass.answer);
  EXPECT_TRUE(alone.asked.empty());
  const AskResult oracle = ask_one(experts_, "oracle");
  EXPECT_EQ(oracle.expert, "e0");
  EXPECT_TRUE(oracle.asked.empty());
  question_.prompt.clear();
  EXPECT_THROW(ask_one(experts_, "sequential"), base::Error);
}

TEST_F(AskTest, AMarginThatIsNoNumberNamesExpertAndQuestion) {
  // Of the last linear: attention's softmax may swallow what is not a number.
  adapters_[1].layers[1][6].a.fill_(std::numeric_limits<float>::quiet_NaN());
  question_.name = "line 7";
  try {
    ask_one(experts_, "sequential");
    FAIL() << "NaN was taken for a pass";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kNonFinite);
    EXPECT_THAT(error.what(), testing::HasSubstr("expert e1, line 7"));
  }
}

/// 40 questions of many lengths, and thresholds that every expert's margins lie on both sides of.
class AskManyTest : public AskTest {
 protected:
  AskManyTest() {
    std::vector<Prompt> prompts;
    for (std::size_t i = 0; i < 40; ++i) {
      prompts.push_back(make_random_prompt(1 + (7 * i) % 23, 100 + i));
      questions_.push_back({"q" + std::to_string(i), prompts.back()});
    }
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      std::vector<double> values = margins_in_batches(*model_, adapters_[i], prompts, 4);
      std::sort(values.begin(), values.end());
      experts_[i].threshold = (values[27] + values[28]) / 2;
    }
  }
  std::vector<Question> questions_;
};

TEST_F(AskManyTest, ManyAtATimeAnswerAsOneByOneInTheirOrder) {
  const std::unique_ptr<method::Router> router = method::make_router("sequential");
  Answering many = answering();
  many.batch_size = 4;
  const std::vector<AskResult> results = ask(many, experts_, *router, questions_);
  ASSERT_EQ(results.size(), questions_.size());
  std::set<std::string> answerers;
  for (std::size_t i = 0; i < questions_.size(); ++i) {
    const AskResult alone =
        ask(answering(), experts_, *router, std::span(&questions_[i], 1)).front();
    EXPECT_EQ(results[i].prompt, "q" + std::to_string(i));
    EXPECT_EQ(results[i].answer, alone.answer) << i;
    EXPECT_EQ(results[i].expert, alone.expert) << i;
    EXPECT_EQ(results[i].new_tokens, alone.new_tokens);
    ASSERT_EQ(results[i].asked.size(), alone.asked.size());
    for (std::size_t asked = 0; asked < alone.asked.size(); ++asked) {
      EXPECT_EQ(results[i].asked[asked].expert, alone.asked[asked].expert);
      EXPECT_NEAR(results[i].asked[asked].margin, alone.asked[asked].margin, 1e-5);
    }
    answerers.insert(alone.route + alone.expert);
  }
  EXPECT_EQ(answerers.size(), experts_.size() + 1) << "every expert and the base must answer";
}

// Asks all at once and lets the second best of them answer: no expert has the prompt in its cache
// when that is known.
class SecondBest final : public method::Router {
 public:
  const std::string& name() const override { return name_; }
  method::Decision decide(const method::Query&, const method::Panel& panel) const override {
    if (panel.asked.empty()) {
      return {.ask = {1, 0, 2}};
    }
    std::vector<method::Asked> asked(panel.asked.begin(), panel.asked.end());
    std::sort(asked.begin(), asked.end(),
              [](const auto& x, const auto& y) { return x.margin > y.margin; });
    return {.answerers = {{.expert = asked[1].expert}}};
  }
  bool may_answer(const method::Query&, const method::PanelExpert&, double) const override {
    return true;
  }

 private:
  std::string name_ = "second best";
};

TEST_F(AskManyTest, ARouterMayAskAllAndChooseAfterwards) {
  Answering many = answering();
  many.batch_size = 4;
  const std::vector<AskResult> results = ask(many, experts_, SecondBest(), questions_);
  std::set<std::string> answerers;
  for (std::size_t i = 0; i < questions_.size(); ++i) {
    ASSERT_EQ(results[i].asked.size(), 3U);
    const auto own = std::find_if(results[i].asked.begin(), results[i].asked.end(),
                                  [&](const auto& x) { return x.expert == results[i].expert; });
    const auto num_better = std::count_if(results[i].asked.begin(), results[i].asked.end(),
                                          [&](const auto& x) { return x.margin > own->margin; });
    EXPECT_EQ(num_better, 1) << i;
    const auto index = static_cast<std::size_t>(results[i].expert.back() - '0');
    const model::AdapterUses set(adapters_[index]);
    DecodeOptions options = base_decoding();
    options.forced_first_token = kAccept;
    options.banned_ids_after_first = {kAccept, kPass};
    EXPECT_EQ(
        results[i].answer,
        answer_text(tokenizer_,
                    decode_by_recomputing(*model_, questions_[i].prompt, &set, options).tokens));
    answerers.insert(results[i].expert);
  }
  EXPECT_EQ(answerers.size(), 3U);
}

// What asking holds at the most: neither the experts that passed nor the questions beyond a batch.
TEST_F(AskManyTest, MemoryGrowsNeitherWithExpertsNorWithQuestions) {
  const std::unique_ptr<method::Router> router = method::make_router("sequential");
  const auto peak_of = [&](std::size_t num_experts, std::size_t num_questions) {
    std::vector<ChainExpert> experts(num_experts, experts_[0]);
    for (ChainExpert& expert : experts) {
      expert.threshold = 1e9;  // all pass
    }
    std::vector<Question> questions(num_questions, {"", make_random_prompt(100, 3)});
    Answering few = answering();
    few.batch_size = 2;
    const test::PeakMemory memory;
    ask(few, experts, *router, questions);
    return memory.peak_bytes();
  };
  const std::size_t small = peak_of(1, 2);
  EXPECT_GT(small, 2U * 100 * 2 * 2 * 16 * 4) << "two rows of keys and values";
  EXPECT_LE(peak_of(8, 2), small * 11 / 10);
  EXPECT_LE(peak_of(1, 16), small * 11 / 10);
}

TEST_F(AskManyTest, AQueueHoldsLessThanABatchBesideTheOneInHand) {
  const Answering many = answering();
  const Voice base(many, nullptr);
  std::vector<std::size_t> order;
  std::vector<std::string> answers(9);
  DecodeQueue queue(base, 4, [&](std::size_t id, const Answer& answer) {
    order.push_back(id);
    answers[id] = answer.text;
  });
  std::size_t id = 0;
  for (const std::size_t size : {3U, 5U, 1U}) {
    std::vector<Prompt> prompts;
    std::vector<std::size_t> ids;
    for (std::size_t i = 0; i < size; ++i) {
      prompts.push_back(questions_[id].prompt);
      ids.push_back(id++);
    }
    queue.add(base.read(prompts), ids);
    EXPECT_EQ(order.size(), id / 4 * 4);
  }
  queue.finish();
  queue.finish();
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(
        answers[i],
        answer_text(
            tokenizer_,
            decode_by_recomputing(*model_, questions_[i].prompt, nullptr, base_decoding()).tokens));
  }
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
