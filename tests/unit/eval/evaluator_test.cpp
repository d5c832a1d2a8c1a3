#include "baton/eval/evaluator.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <set>
#include <sstream>
#include <tuple>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/wire.hpp"
#include "baton/eval/ask.hpp"
#include "baton/eval/margins.hpp"
#include "baton/eval/report.hpp"
#include "baton/metrics/metric.hpp"
#include "baton/metrics/rouge_l.hpp"
#include "baton/model/gates.hpp"
#include "eval/batches.hpp"
#include "eval_fixture.hpp"

namespace baton::eval {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kNumTasks = 3;
constexpr std::size_t kNumQueries = 7;
const std::int64_t kMaxNewTokens = base_decoding().max_new_tokens;

const std::unique_ptr<method::Router> kSequential = method::make_router("sequential");
const RunFacts kFacts{.method = "see", .seed = 7, .base_description = "tiny"};

/// Three tasks of seven random queries, three random experts whose thresholds are the median of
/// their margins, so that every stage mixes experts and base.
class EvaluatorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = make_tiny_model(); }
  static void TearDownTestSuite() { model_.reset(); }

  EvaluatorTest() {
    std::vector<Prompt> prompts;
    base::Random random(99);
    for (std::size_t task = 0; task < kNumTasks; ++task) {
      input_.tasks.push_back({fmt::format("task{}", task), {}});
      adapters_.push_back(make_random_adapter(input_.tasks.back().name, task + 1));
      for (std::size_t query = 0; query < kNumQueries; ++query) {
        prompts.push_back(make_random_prompt(2 + random.below(15), random.bits()));
        input_.tasks.back().queries.push_back({fmt::format("{}-{}", task, query),
                                               prompts.back(),
                                               {fmt::format("b e h k n {}", "qtwz"[query % 4])},
                                               fmt::format("question {} {}", task, query)});
      }
    }
    for (const model::Adapter& adapter : adapters_) {
      std::vector<double> values = margins_in_batches(*model_, adapter, prompts, 4);
      std::sort(values.begin(), values.end());
      const std::size_t middle = values.size() / 2;
      input_.experts.push_back({adapter.name, model::AdapterUses(adapter), input_.experts.size(),
                                kIndicators, (values[middle - 1] + values[middle]) / 2});
    }
  }

  Answering answering() const {
    return {.model = *model_,
            .tokenizer = tokenizer_,
            .base_decoding = base_decoding(),
            .batch_size = 4};
  }

  std::vector<QueryRecord> records(std::size_t max_chunks) const {
    std::vector<ChunkResult> parts;
    for (const EvaluationChunk& chunk : plan_chunks(input_, 4, kMaxNewTokens, max_chunks)) {
      parts.push_back(evaluate_chunk(answering(), input_, chunk));
    }
    return assemble(input_, std::move(parts));
  }

  EvaluationResult evaluate(std::size_t max_chunks) const {
    return summarise(input_, records(max_chunks), "rouge_l");
  }

  static std::unique_ptr<model::Decoder> model_;
  LetterTokenizer tokenizer_;
  std::vector<model::Adapter> adapters_;
  EvaluationInput input_{.tasks = {}, .experts = {}, .router = kSequential.get()};
};
std::unique_ptr<model::Decoder> EvaluatorTest::model_;

TEST_F(EvaluatorTest, OnePassEqualsAChainAskedAtEveryStage) {
  // 21 queries, four a batch: one chunk of six batches an expert, two of three for the base.
  ASSERT_EQ(plan_chunks(input_, 4, kMaxNewTokens).size(), 3U + 2U);
  const EvaluationResult result = evaluate(4096);

  const auto ask_alone = [&](std::size_t num_experts, const method::Router& router,
                             const Question& question) {
    return ask(answering(), std::span(input_.experts).first(num_experts), router,
               std::span(&question, 1))
        .front();
  };
  const std::unique_ptr<method::Router> oracle = method::make_router("oracle");
  std::set<std::string> answerers;
  double asked_at_the_end = 0;
  for (std::size_t task = 0; task < kNumTasks; ++task) {
    double oracle_sum = 0;
    std::vector<double> stage_sums(kNumTasks + 1, 0.0);
    for (std::size_t query = 0; query < kNumQueries; ++query) {
      const EvalQuery& entry = input_.tasks[task].queries[query];
      const Question question{"", entry.prompt, input_.tasks[task].name};
      const ScoredRecord& scored = result.records[task * kNumQueries + query];
      for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
        const AskResult twin = ask_alone(stage, *kSequential, question);
        const int answerer = scored.answered_by[stage];
        const Answer& answer = answerer == method::kBase
                                   ? scored.record.base
                                   : *scored.record.answers[static_cast<std::size_t>(answerer)];
        EXPECT_EQ(twin.expert, answerer == method::kBase
                                   ? ""
                                   : input_.experts[static_cast<std::size_t>(answerer)].name);
        EXPECT_EQ(twin.answer, answer.text);
        EXPECT_EQ(twin.new_tokens, answer.new_tokens);
        stage_sums[stage] += metrics::rouge_l_best(twin.answer, entry.references);
        answerers.insert(twin.route + twin.expert);
        if (stage == kNumTasks) {
          asked_at_the_end += static_cast<double>(twin.asked.size());
        }
      }
      oracle_sum +=
          metrics::rouge_l_best(ask_alone(kNumTasks, *oracle, question).answer, entry.references);
    }
    EXPECT_DOUBLE_EQ(result.oracle[task], oracle_sum / kNumQueries);
    EXPECT_DOUBLE_EQ(result.base[task], stage_sums[0] / kNumQueries);
    for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
      EXPECT_DOUBLE_EQ(result.matrix.at(static_cast<int>(stage), static_cast<int>(task)),
                       stage_sums[stage] / kNumQueries);
    }
  }
  EXPECT_EQ(answerers.size(), kNumTasks + 1) << "every expert and the base must answer somewhere";
  EXPECT_DOUBLE_EQ(result.cost.experts_asked_mean, asked_at_the_end / (kNumTasks * kNumQueries));
}

TEST_F(EvaluatorTest, OnlyPairsThatAcceptOrBelongAreDecoded) {
  for (const QueryRecord& record : records(4096)) {
    for (std::size_t expert = 0; expert < kNumTasks; ++expert) {
      const bool accepts = record.margins[expert] > input_.experts[expert].threshold;
      EXPECT_EQ(record.answers[expert].has_value(),
                accepts || record.task_index == static_cast<std::int64_t>(expert));
    }
  }
}

// Chunks computed in any order, of any size, some read back from their bytes.
TEST_F(EvaluatorTest, AnySharingOutGivesTheSameBytes) {
  const std::string results = results_json(evaluate(4096), kFacts);
  const std::string predictions = predictions_jsonl(input_, evaluate(4096));
  for (const std::size_t max_chunks : {std::size_t{1}, std::size_t{10}, std::size_t{4096}}) {
    std::vector<EvaluationChunk> chunks = plan_chunks(input_, 4, kMaxNewTokens, max_chunks);
    EXPECT_EQ(chunks.size(), max_chunks == 1 ? 4U : 5U);
    std::reverse(chunks.begin(), chunks.end());
    std::vector<ChunkResult> parts;
    for (const EvaluationChunk& chunk : chunks) {
      ChunkResult part = evaluate_chunk(answering(), input_, chunk);
      parts.push_back(parts.size() % 2 == 0 ? chunk_result_from(base::to_bytes(part), "memory")
                                            : part);
    }
    const EvaluationResult result = summarise(input_, assemble(input_, parts), "rouge_l");
    EXPECT_EQ(results_json(result, kFacts), results);
    EXPECT_EQ(predictions_jsonl(input_, result), predictions);
  }
}

// Every query of every batch once an answerer; many small chunks become fewer.
TEST(PlanChunks, CoverEveryQueryOncePerAnswerer) {
  EvaluationInput input{.tasks = {}, .experts = {}, .router = kSequential.get()};
  base::Random random(5);
  for (std::size_t task = 0; task < 4; ++task) {
    input.experts.push_back({.name = fmt::format("t{}", task), .position = task});
    input.tasks.push_back({input.experts.back().name, {}});
    for (std::size_t query = 0; query < 100 + task; ++query) {
      input.tasks.back().queries.push_back(
          {fmt::format("{}", query), make_random_prompt(1 + random.below(30), query), {"x"}});
    }
  }
  for (const std::size_t max_chunks : {std::size_t{4096}, std::size_t{20}, std::size_t{1}}) {
    const std::vector<EvaluationChunk> chunks = plan_chunks(input, 4, 12, max_chunks);
    EXPECT_LE(chunks.size(), std::max<std::size_t>(max_chunks, 5));
    std::set<std::tuple<int, std::size_t, std::size_t>> seen;
    for (const EvaluationChunk& chunk : chunks) {
      EXPECT_GT(chunk.cost, 0);
      std::size_t num_queries = 0;
      for (const std::vector<QueryPlace>& rows : chunk.batches) {
        EXPECT_LE(rows.size(), 4U);
        num_queries += rows.size();
        for (const QueryPlace& place : rows) {
          EXPECT_TRUE(seen.insert({chunk.answerer, place.task, place.query}).second);
        }
      }
      EXPECT_EQ(chunk.num_queries(), num_queries);
    }
    EXPECT_EQ(seen.size(), 5U * (100 + 101 + 102 + 103));
  }
}

// What an expert takes of each batch it reads is decoded together: its seven own rows out of six
// batches are one full batch of four and one of three.
TEST_F(EvaluatorTest, AnExpertDecodesFullBatches) {
  for (ChainExpert& expert : input_.experts) {
    expert.threshold = 1e9;  // its own rows alone, as the oracle
  }
  const std::vector<EvaluationChunk> chunks = plan_chunks(input_, 4, kMaxNewTokens);
  ASSERT_EQ(chunks[0].answerer, 0);
  ASSERT_EQ(chunks[0].batches.size(), 6U);
  const ChunkResult result = evaluate_chunk(answering(), input_, chunks[0]);
  std::size_t num_decoded = 0;
  for (const Reply& reply : result.replies) {
    num_decoded += reply.answer ? 1U : 0U;
  }
  EXPECT_EQ(num_decoded, kNumQueries);
  EXPECT_EQ(result.timings.num_batches, 6);
  EXPECT_EQ(result.timings.num_decode_batches, 2);  // seven rows, four at a time
}

TEST_F(EvaluatorTest, AStopIsSeenBetweenTwoBatches) {
  const std::vector<EvaluationChunk> chunks = plan_chunks(input_, 4, kMaxNewTokens, 1);
  int num_asked = 0;
  try {
    evaluate_chunk(answering(), input_, chunks[0], [&] { return ++num_asked == 3; });
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kStopped);
  }
  EXPECT_EQ(num_asked, 3);
}

TEST_F(EvaluatorTest, BytesThatAreNoChunkAreRefused) {
  const std::string good =
      base::to_bytes(evaluate_chunk(answering(), input_, plan_chunks(input_, 4, kMaxNewTokens)[0]));
  for (const std::string& bytes :
       {std::string(), std::string("x"), good.substr(0, good.size() / 2), good + "x"}) {
    EXPECT_THROW(chunk_result_from(bytes, "file"), base::Error);
  }
}

TEST_F(EvaluatorTest, TheMatrixFollowsFromThePredictionsAlone) {
  const EvaluationResult result = evaluate(4096);
  const base::Json results = base::Json::parse(results_json(result, kFacts));
  EXPECT_EQ(results.at("router"), "sequential");
  EXPECT_EQ(results.at("method"), "see");
  EXPECT_EQ(results.at("seed"), 7);
  for (const char* key :
       {"format", "metric", "tasks", "matrix", "AR", "BWT", "FWT", "forgetting", "oracle", "base",
        "routing", "routing_accuracy", "cost", "formulas", "base_description"}) {
    EXPECT_TRUE(results.contains(key)) << key;
  }
  std::vector<std::vector<double>> sums(kNumTasks + 1, std::vector<double>(kNumTasks, 0.0));
  std::istringstream lines(predictions_jsonl(input_, result));
  std::size_t num_lines = 0;
  for (std::string text; std::getline(lines, text); ++num_lines) {
    const base::Json line = base::Json::parse(text);
    EXPECT_EQ(line.size(), 9U);
    EXPECT_EQ(line.at("answer"), line.at("answers").at(line.at("answered_by").back()));
    const std::string id = line.at("id");
    EXPECT_EQ(line.at("prompt"), fmt::format("question {} {}", id[0], id[2]));
    EXPECT_EQ(line.at("margins").size(), kNumTasks);
    const auto task = static_cast<std::size_t>(line.at("task").get<std::string>().back() - '0');
    for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
      const std::string answerer = line.at("answered_by").at(stage);
      const std::string answer = line.at("answers").at(answerer);
      const double score =
          metrics::rouge_l_best(answer, line.at("references").get<std::vector<std::string>>());
      EXPECT_EQ(score, line.at("scores").at(answerer).get<double>());
      sums[stage][task] += score;
    }
  }
  EXPECT_EQ(num_lines, kNumTasks * kNumQueries);
  for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
    for (std::size_t task = 0; task < kNumTasks; ++task) {
      EXPECT_EQ(results.at("matrix").at(stage).at(task).get<double>(),
                sums[stage][task] / kNumQueries);
    }
  }
}

// Beside another router in the same pass: experts one by one, and mixed by gates.
TEST_F(EvaluatorTest, ExpertsThatAnswerAsOneDecodeEveryQuery) {
  const std::unique_ptr<method::Router> gates = method::make_router("gates");
  input_.more_routers = {gates.get()};
  for (const std::vector<int>& members : gates->ensembles(kNumTasks)) {
    Ensemble& ensemble = input_.ensembles.emplace_back(Ensemble{members, {}});
    std::vector<model::Gates> of_members;
    for (const int member : members) {
      const model::Adapter& adapter = adapters_[static_cast<std::size_t>(member)];
      ensemble.voice.adapters.uses.push_back({.adapter = &adapter});
      ensemble.voice.name += (ensemble.voice.name.empty() ? "" : " + ") + adapter.name;
      of_members.push_back(model::zero_gates(adapter));
    }
    ensemble.voice.indicators = kIndicators;
    ensemble.voice.adapters.weigher = model::make_top_gates(of_members, 2);
  }
  const EvaluationResult result = evaluate(4096);
  ASSERT_EQ(result.more.size(), 1U);
  EXPECT_TRUE(result.has_routing());
  EXPECT_FALSE(result.more[0].has_routing());
  EXPECT_EQ(result.more[0].cost.experts_asked_mean, 0);
  std::size_t num_unlike = 0;
  for (std::size_t task = 0; task < kNumTasks; ++task) {
    std::vector<double> sums(kNumTasks + 1, 0.0);
    for (std::size_t query = 0; query < kNumQueries; ++query) {
      const EvalQuery& entry = input_.tasks[task].queries[query];
      const Question question{"", entry.prompt};
      const QueryRecord& record = result.records[task * kNumQueries + query].record;
      for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
        const AskResult twin = ask(answering(), std::span(input_.experts).first(stage), *gates,
                                   std::span(&question, 1), input_.ensembles)
                                   .front();
        EXPECT_EQ(twin.experts.size(), stage < 2 ? std::size_t{0} : stage);
        EXPECT_EQ(twin.expert, stage == 1 ? "task0" : "");
        sums[stage] += metrics::rouge_l_best(twin.answer, entry.references);
        num_unlike += stage == 2 && twin.answer != record.answers[0]->text ? 1U : 0U;
      }
    }
    for (std::size_t stage = 0; stage <= kNumTasks; ++stage) {
      EXPECT_DOUBLE_EQ(result.more[0].matrix.at(static_cast<int>(stage), static_cast<int>(task)),
                       sums[stage] / kNumQueries);
    }
  }
  EXPECT_GT(num_unlike, 0U);
  const auto line = base::Json::parse(
      predictions_jsonl(input_, result).substr(0, predictions_jsonl(input_, result).find('\n')));
  EXPECT_TRUE(line.at("answers").contains("task0 + task1 + task2"));
  EXPECT_EQ(line.at("margins").size(), kNumTasks);
  const auto json = base::Json::parse(results_json(result, kFacts));
  EXPECT_TRUE(json.at("routers").at("gates").at("routing").is_null());
  EXPECT_TRUE(json.at("routers").at("gates").at("routing_accuracy").is_null());
  EXPECT_TRUE(json.at("routers").at("sequential").at("routing").is_array());

  input_.tasks[1].name = input_.experts[1].name = "task0 + task1";
  EXPECT_THROW(plan_chunks(input_, 4, kMaxNewTokens), base::Error) << "a name for two answerers";
}

TEST_F(EvaluatorTest, RefusesInputItCannotEvaluate) {
  const auto kind_of = [&](const std::function<void(EvaluationInput&)>& change) {
    EvaluationInput input = input_;
    change(input);
    try {
      evaluate_chunk(answering(), input, plan_chunks(input, 4, kMaxNewTokens, 1)[0]);
    } catch (const base::Error& error) {
      return std::string(base::kind_name(error.kind()));
    }
    return std::string("none");
  };
  EXPECT_EQ(kind_of([](EvaluationInput& input) { input.tasks[1].queries.clear(); }), "data");
  EXPECT_EQ(kind_of([](EvaluationInput& input) { input.tasks[1].queries[2].prompt.clear(); }),
            "data");
  EXPECT_EQ(
      kind_of([](EvaluationInput& input) { input.tasks[1].name = input.experts[1].name = "base"; }),
      "usage");
  EXPECT_EQ(kind_of([](EvaluationInput& input) { input.experts.pop_back(); }), "internal");
}

/// Two tasks, x (one query) and y (two), and records as if they had been computed.
struct HandMade {
  EvaluationInput input{
      .tasks = {{"x", {{"x0", {1}, {"right"}}}},
                {"y", {{"y0", {1}, {"right"}}, {"y1", {1}, {"right"}}}}},
      .experts = {{"x", {}, 0, kIndicators, 0.5}, {"y", {}, 1, kIndicators, -1.0}},
      .router = kSequential.get()};
  std::vector<QueryRecord> records{
      // x accepts (0.6 > 0.5), y takes it over at stage 2 (-0.5 > -1) and is wrong.
      {0, 0, 10, {0.6, -0.5}, {"wrong", 3}, {Answer{"right", 2}, Answer{"wrong", 4}}},
      // x passes (0.5 is not above 0.5), y accepts and is right.
      {1, 0, 20, {0.5, 2.0}, {"right", 5}, {std::nullopt, Answer{"right", 6}}},
      // Both pass (-1 is not above -1): the base answers at every stage. The oracle's answer is
      // right.
      {1, 1, 30, {0.0, -1.0}, {"wrong", 7}, {std::nullopt, Answer{"right", 8}}}};
};

TEST(Summarise, StageDecisionsScoresAndCostByHand) {
  const HandMade made;
  const EvaluationResult result = summarise(made.input, made.records, "exact_match");
  EXPECT_EQ(result.records[0].answered_by, (std::vector<int>{method::kBase, 0, 1}));
  EXPECT_EQ(result.records[1].answered_by, (std::vector<int>{method::kBase, method::kBase, 1}));
  EXPECT_EQ(result.records[2].answered_by,
            (std::vector<int>{method::kBase, method::kBase, method::kBase}));
  //            x: base wrong, x right, y wrong   y: base right/wrong, the same, y right/base wrong
  EXPECT_EQ(result.matrix.at(0, 0), 0.0);
  EXPECT_EQ(result.matrix.at(1, 0), 100.0);
  EXPECT_EQ(result.matrix.at(2, 0), 0.0);
  EXPECT_EQ(result.matrix.at(0, 1), 50.0);
  EXPECT_EQ(result.matrix.at(1, 1), 50.0);
  EXPECT_EQ(result.matrix.at(2, 1), 50.0);
  EXPECT_EQ(result.oracle, (std::vector<double>{100.0, 100.0}));
  EXPECT_EQ(result.base, (std::vector<double>{0.0, 50.0}));
  EXPECT_EQ(result.routing, (std::vector<std::vector<std::int64_t>>{{0, 1, 0}, {0, 1, 1}}));
  EXPECT_DOUBLE_EQ(result.routing_accuracy, 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(result.routing_accuracy_of(0), 0.0);
  EXPECT_DOUBLE_EQ(result.routing_accuracy_of(1), 0.5);
  EXPECT_EQ(result.matrix.backward_transfer(), -100.0);
  // Asked: y; y; y and x. Read: 10 once, 20 once, 30 by y, x and the base.
  EXPECT_DOUBLE_EQ(result.cost.experts_asked_mean, 4.0 / 3.0);
  EXPECT_EQ(result.cost.prompt_tokens, 60);
  EXPECT_EQ(result.cost.prompt_tokens_prefixed, 10 + 20 + 90);
  EXPECT_EQ(result.cost.new_tokens, 4 + 6 + 7);
  EXPECT_EQ(result.cost.pass_prompt_tokens, 3 * 60);
  EXPECT_EQ(result.cost.pass_new_tokens, (3 + 2 + 4) + (5 + 6) + (7 + 8));
}

// The oracle router: the true task's expert at every stage that has it, else the base.
TEST(Summarise, TheRouterOfTheInputDecides) {
  HandMade made;
  const std::unique_ptr<method::Router> oracle = method::make_router("oracle");
  made.input.router = oracle.get();
  const EvaluationResult result = summarise(made.input, made.records, "exact_match");
  EXPECT_EQ(result.router, "oracle");
  EXPECT_EQ(result.records[0].answered_by, (std::vector<int>{method::kBase, 0, 0}));
  EXPECT_EQ(result.records[2].answered_by, (std::vector<int>{method::kBase, method::kBase, 1}));
  EXPECT_EQ(result.matrix.at(2, 1), 100.0);
  EXPECT_EQ(result.routing_accuracy, 1.0);
  EXPECT_EQ(result.cost.experts_asked_mean, 0.0);
}

TEST(Report, NumbersReadBackEqualAndTablesNameTheirFormulas) {
  HandMade made;
  made.records[0].margins[1] = -0.1 - 0.2;
  const EvaluationResult result = summarise(made.input, made.records, "rouge_l");
  const base::Json first =
      base::Json::parse(predictions_jsonl(made.input, result)
                            .substr(0, predictions_jsonl(made.input, result).find('\n')));
  EXPECT_EQ(first.at("margins").at("y").get<double>(), -0.1 - 0.2);
  const base::Json results = base::Json::parse(results_json(result, {"see", 1, "SmolLM2"}));
  EXPECT_EQ(results.at("routing_accuracy").get<double>(), 1.0 / 3.0);
  EXPECT_EQ(results.at("BWT").get<double>(), *result.matrix.backward_transfer());
  EXPECT_EQ(results.at("base_description"), "SmolLM2");
  const std::string table = score_table(result);
  EXPECT_THAT(table, HasSubstr("routing accuracy"));
  EXPECT_THAT(table, HasSubstr("mean over j of a[T][j]"));
  EXPECT_THAT(table, HasSubstr("rouge_l"));
  EXPECT_THAT(matrix_table(result), HasSubstr("0 (base)"));
  EXPECT_THAT(routing_table(result), HasSubstr("true task"));
  const base::Json timings =
      base::Json::parse(timings_json({{{1, 2, 3, 4, 2}, {1, 2, 5, 4, 2}}, 2, 10, 7}));
  EXPECT_EQ(timings.at("seconds"), 5.0);
  EXPECT_EQ(timings.at("seconds_per_query"), 0.5);
  EXPECT_EQ(timings.at("queries"), 10);
  EXPECT_EQ(timings.at("queries_before"), 7);
  EXPECT_EQ(timings.at("ranks"), 2);
  EXPECT_TRUE(base::Json::parse(timings_json({})).at("seconds_per_query").is_null());
}

TEST(Report, OneTaskHasNoTransfer) {
  HandMade made;
  made.input.tasks.pop_back();
  made.input.experts.pop_back();
  made.records.resize(1);
  made.records[0].margins.pop_back();
  made.records[0].answers.pop_back();
  const base::Json results =
      base::Json::parse(results_json(summarise(made.input, made.records, "rouge_l"), {}));
  EXPECT_EQ(results.at("AR"), 100.0);
  for (const char* key : {"BWT", "FWT", "forgetting"}) {
    EXPECT_TRUE(results.at(key).is_null()) << key;
  }
}

TEST(Batches, SortByLengthThenIndex) {
  const std::vector<std::int64_t> lengths = {5, 2, 5, 1, 2};
  EXPECT_EQ(batches_by_length(lengths, 2),
            (std::vector<std::vector<std::size_t>>{{3, 1}, {4, 0}, {2}}));
  EXPECT_TRUE(batches_by_length({}, 2).empty());
}

}  // namespace
}  // namespace baton::eval
