#pragma once
// An evaluation as files and as tables for people. Files hold nothing that two runs of one
// experiment could differ in, except timings_json.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "baton/eval/evaluator.hpp"

namespace baton::eval {

/// What the results say of the run beside the scores.
struct RunFacts {
  std::string method;
  std::uint64_t seed = 0;
  std::string base_description;
  std::map<std::string, std::string> settings = {};  // keys of the evaluation
};

/// results.json: format, method, router, seed, metric, tasks, matrix, AR, BWT, FWT, forgetting, oracle, base, routing,
/// routing_accuracy, cost, formulas, base_description. Numbers read back equal.
std::string results_json(const EvaluationResult& result, const RunFacts& facts);

/// predictions.jsonl: one line a query, with its prompt and the answer of the last stage; the matrix
/// can be recomputed from it alone.
std::string predictions_jsonl(const EvaluationInput& input, const EvaluationResult& result);

/// What one call of an evaluation took; queries that an earlier call left done took it nothing.
struct CallTimings {
  std::vector<RankTimings> by_rank;
  int threads_per_rank = 1;
  std::int64_t num_queries = 0;         // of this call
  std::int64_t num_queries_before = 0;  // of earlier calls
};

/// timings.json: seconds, ranks, threads, queries of this call and of those before it.
std::string timings_json(const CallTimings& call);

/// Per task: base, chain, oracle, routing accuracy; then AR, BWT, FWT and forgetting with their
/// formulas.
std::string score_table(const EvaluationResult& result);
/// Every router of the pass: a line each. Of an evaluation with experts.
std::string router_table(const EvaluationResult& result);
/// The score matrix, a line a stage.
std::string matrix_table(const EvaluationResult& result);
/// Who answered, per true task.
std::string routing_table(const EvaluationResult& result);

}  // namespace baton::eval
