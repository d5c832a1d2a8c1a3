#pragma once
// The score matrix of a chain in one pass over the queries. Every query is read by every expert and
// by the base; an expert decodes where it can come to answer at some stage (the router says so) and
// where the task is its own (the oracle); the base decodes every query, and so do ensembles of
// experts that a router lets answer as one. All stages follow from these records.
//
// Three steps, so that chunks can be handed to whoever is free and a half-finished evaluation can
// go on: plan_chunks (pure), evaluate_chunk (may throw, communicates nothing), assemble and
// summarise (pure). A chunk is one answerer's: an expert decodes few rows of each batch it reads, so
// it gathers them over all batches of its chunk. Batches are formed over all queries and chunks
// never change with who computes them, so the records have the same bits for any number of workers.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "baton/eval/answering.hpp"
#include "baton/metrics/metric.hpp"
#include "baton/metrics/score_matrix.hpp"

namespace baton::eval {

struct EvalQuery {
  std::string id;
  Prompt prompt;
  std::vector<std::string> references;
  std::string text = {};                  // the prompt as people read it
  std::vector<std::string> options = {};  // what may be answered, where the row says so
  std::vector<double> features = {};      // for a router that needs them
};

struct EvalTask {
  std::string name;
  std::vector<EvalQuery> queries;
  std::int64_t num_leaked = 0;  // queries whose prompt its expert was trained on
  std::shared_ptr<const metrics::Scorer> scorer = {};  // none: by the name given to summarise
};

/// The same on every rank.
struct EvaluationInput {
  std::vector<EvalTask> tasks;
  std::vector<ChainExpert> experts;  // oldest first: positions ascend
  /// Task k belongs to expert k, among whom queries are routed. Else who answers follows from the
  /// stage, and there is neither an oracle nor a right or wrong route.
  bool has_experts = true;
  const method::Router* router = nullptr;                // must outlive it, as the others
  std::vector<const method::Router*> more_routers = {};  // scored in the same pass
  std::vector<Ensemble> ensembles = {};                  // those of all of these routers

  /// Indices below it are those of experts and, beyond these, ensembles.
  std::size_t num_voices() const { return experts.size() + ensembles.size(); }
  /// Null: the base.
  const ChainExpert* voice(int answerer) const { return voice_at(answerer, experts, ensembles); }
};

struct QueryPlace {
  std::size_t task = 0;
  std::size_t query = 0;
};

/// What one worker computes at a time: whole batches, by one answerer.
struct EvaluationChunk {
  int answerer = method::kBase;  // index of an expert or ensemble, or kBase
  std::vector<std::vector<QueryPlace>> batches;
  double cost = 0;  // tokens read and, as far as is known, decoded

  std::size_t num_queries() const;
};

/// What one answerer made of one query.
struct Reply {
  std::int64_t task_index = 0;
  std::int64_t query_index = 0;       // within its task
  double margin = 0;                  // of an expert with indicators only
  std::optional<Answer> answer = {};  // none where an expert did not decode

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("task_index", self.task_index);
    visit("query_index", self.query_index);
    visit("margin", self.margin);
    visit("answer", self.answer);
  }
};

/// All that one query's pass gave.
struct QueryRecord {
  std::int64_t task_index = 0;
  std::int64_t query_index = 0;  // within its task
  std::int64_t prompt_tokens = 0;
  std::vector<double> margins;  // [E], by expert
  Answer base;
  std::vector<std::optional<Answer>> answers;  // by voice; none where the expert did not decode
};

/// Seconds of one worker; never part of a result.
struct RankTimings {
  double prefill_seconds = 0;
  double decode_seconds = 0;
  double total_seconds = 0;
  std::int64_t num_batches = 0;         // read, by one answerer each
  std::int64_t num_decode_batches = 0;  // decoded

  RankTimings& operator+=(const RankTimings& other);

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("prefill_seconds", self.prefill_seconds);
    visit("decode_seconds", self.decode_seconds);
    visit("total_seconds", self.total_seconds);
    visit("num_batches", self.num_batches);
    visit("num_decode_batches", self.num_decode_batches);
  }
};

struct ChunkResult {
  int answerer = method::kBase;
  std::vector<Reply> replies;
  RankTimings timings;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("answerer", self.answerer);
    visit("replies", self.replies);
    visit("timings", self.timings);
  }
};

/// Cuts the queries into batches of similar length and these, for each answerer, into chunks: as many
/// batches as give an expert about two full batches to decode, more where there would be over
/// `max_chunks` chunks (but one an answerer at least). The same for any number of workers. A task
/// without queries, a prompt of no tokens: kData; a task named "base": kUsage.
std::vector<EvaluationChunk> plan_chunks(const EvaluationInput& input,
                                         std::int64_t eval_batch_size,
                                         std::int64_t max_new_tokens,
                                         std::size_t max_chunks = 4096);

/// One chunk. `should_stop`, asked between two batches, ends it with kStopped; it may be empty.
/// Margins that are not finite: kNonFinite.
ChunkResult evaluate_chunk(const Answering& answering,
                           const EvaluationInput& input,
                           const EvaluationChunk& chunk,
                           const std::function<bool()>& should_stop = {});

/// From base::to_bytes of a result. Bytes that are no such result: kModel, naming `origin`.
ChunkResult chunk_result_from(const std::string& bytes, const std::string& origin);

/// The records of all chunks by task and query. A query without an answerer's reply or with two is
/// an assertion.
std::vector<QueryRecord> assemble(const EvaluationInput& input, std::vector<ChunkResult> parts);

/// A record with its scores and the answerer of every stage.
struct ScoredRecord {
  QueryRecord record;
  double base_score = 0;
  std::vector<std::optional<double>> scores;  // by voice
  bool base_is_outside = false;               // its answer is none of the task's labels or options
  std::vector<bool> is_outside;               // by voice
  std::vector<int> answered_by;  // [T + 1]; index of a voice or method::kBase, stage 0 first
};

/// What asking the chain costs, at the last stage; counts over all queries.
struct ChainCost {
  std::int64_t num_queries = 0;
  double experts_asked_mean = 0;
  std::int64_t prompt_tokens = 0;  // of the queries, each counted once
  std::int64_t prompt_tokens_prefixed =
      0;  // what the sequential chain reads: once per asked expert, and by the base
  std::int64_t new_tokens = 0;          // of the chain's answers
  std::int64_t pass_prompt_tokens = 0;  // what this evaluation's one pass read
  std::int64_t pass_new_tokens = 0;     // and decoded
};

/// What comes of the records with one router.
struct RouterResult {
  std::string router;
  metrics::ScoreMatrix matrix;
  /// [T][T + 1]: true task, answered by (last: base), last stage; empty without experts, and where
  /// several answer as one: then there are no right or wrong routes
  std::vector<std::vector<std::int64_t>> routing = {};
  double routing_accuracy = 0;  // share of all queries that their own expert answers, 0-1
  ChainCost cost = {};

  bool has_routing() const { return !routing.empty(); }
};

/// Answers that are none of a task's labels or options, at the last stage.
struct OutsideCounts {
  std::int64_t base = 0;
  std::int64_t chain = 0;
  std::int64_t oracle = 0;
};

/// The records with their scores, and what comes of them with the input's router.
struct EvaluationResult : RouterResult {
  explicit EvaluationResult(RouterResult result) : RouterResult(std::move(result)) {}

  std::string metric;                                 // of several: "accuracy, rouge_l"
  std::vector<std::string> task_metrics;              // [T]
  std::vector<std::optional<OutsideCounts>> outside;  // [T]; none where any text may be answered
  bool has_experts = true;                            // else oracle and routing are empty
  bool has_stages = true;                // something is learnt at each; else BWT, FWT say nothing
  std::vector<double> oracle;            // [T]
  std::vector<double> base;              // [T]
  std::vector<std::int64_t> num_leaked;  // [T]
  std::vector<ScoredRecord> records;
  std::vector<RouterResult> more;  // by the input's other routers

  const std::vector<std::string>& tasks() const { return matrix.tasks(); }
  double routing_accuracy_of(std::size_t task) const;
};

/// Scores every answer once (by its task's scorer, else by the one named), recomputes each stage's
/// decisions with each of the input's routers over the recorded margins, and averages.
EvaluationResult summarise(const EvaluationInput& input,
                           std::span<const QueryRecord> records,
                           const std::string& metric);

}  // namespace baton::eval
