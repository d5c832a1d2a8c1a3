#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/metrics/metric.hpp"

namespace baton::eval {
namespace {

ScoredRecord score_record(const EvaluationInput& input,
                          const QueryRecord& record,
                          metrics::MetricFunction metric) {
  const EvalQuery& query = input.tasks[static_cast<std::size_t>(record.task_index)]
                               .queries[static_cast<std::size_t>(record.query_index)];
  ScoredRecord scored;
  scored.record = record;
  scored.base_score = metric(record.base.text, query.references);
  for (const std::optional<Answer>& answer : record.answers) {
    scored.scores.push_back(answer ? std::optional(metric(answer->text, query.references))
                                   : std::nullopt);
  }
  return scored;
}

/// The score of what the chain answers at a stage.
double chain_score(const ScoredRecord& scored, std::size_t stage) {
  const int answerer = scored.answered_by[stage];
  if (answerer == method::kBase) {
    return scored.base_score;
  }
  const std::optional<double>& score = scored.scores[static_cast<std::size_t>(answerer)];
  BATON_ASSERT(score.has_value(),
               fmt::format("task {}, query {}, expert {}", scored.record.task_index,
                           scored.record.query_index, answerer));
  return *score;
}

/// Fills answered_by; the last stage's questions go into the cost.
void route_stages(const EvaluationInput& input,
                  std::span<const method::PanelExpert> experts,
                  ScoredRecord& scored,
                  ChainCost& cost) {
  const std::size_t num_experts = input.experts.size();
  const EvalTask& task = input.tasks[static_cast<std::size_t>(scored.record.task_index)];
  const std::string& id = task.queries[static_cast<std::size_t>(scored.record.query_index)].id;
  method::Route route;
  std::size_t num_there = 0;
  for (std::size_t stage = 0; stage <= input.tasks.size(); ++stage) {
    while (num_there < num_experts && input.experts[num_there].position < stage) {
      ++num_there;
    }
    route = method::route(
        *input.router, {.id = id, .true_task = task.name}, experts.first(num_there),
        [&](int expert) { return scored.record.margins[static_cast<std::size_t>(expert)]; });
    BATON_ASSERT(route.answerers.size() == 1, fmt::format("{} answerers", route.answerers.size()));
    scored.answered_by.push_back(route.answerers.front().expert);
  }
  const int answerer = scored.answered_by.back();
  const std::size_t num_asked = route.asked.size();
  const bool was_asked =
      std::any_of(route.asked.begin(), route.asked.end(),
                  [answerer](const method::Asked& asked) { return asked.expert == answerer; });
  const auto reads = static_cast<std::int64_t>(num_asked) + (was_asked ? 0 : 1);
  const QueryRecord& record = scored.record;
  ++cost.num_queries;
  cost.experts_asked_mean += static_cast<double>(num_asked);  // a sum until the end
  cost.prompt_tokens += record.prompt_tokens;
  cost.prompt_tokens_prefixed += reads * record.prompt_tokens;
  cost.new_tokens += answerer == method::kBase
                         ? record.base.new_tokens
                         : record.answers[static_cast<std::size_t>(answerer)]->new_tokens;
  cost.pass_prompt_tokens += static_cast<std::int64_t>(num_experts + 1) * record.prompt_tokens;
  cost.pass_new_tokens += record.base.new_tokens;
  for (const std::optional<Answer>& answer : record.answers) {
    cost.pass_new_tokens += answer ? answer->new_tokens : 0;
  }
}

/// Sums over queries in their order, divided last.
void average_scores(EvaluationResult& result) {
  const std::size_t num_tasks = result.tasks().size();
  std::vector<std::int64_t> counts(num_tasks, 0);
  std::vector<std::vector<double>> stage_sums(num_tasks + 1, std::vector<double>(num_tasks, 0.0));
  result.base.assign(num_tasks, 0.0);
  for (const ScoredRecord& scored : result.records) {
    const auto task = static_cast<std::size_t>(scored.record.task_index);
    ++counts[task];
    result.base[task] += scored.base_score;
    for (std::size_t stage = 0; stage <= num_tasks; ++stage) {
      stage_sums[stage][task] += chain_score(scored, stage);
    }
  }
  for (std::size_t task = 0; task < num_tasks; ++task) {
    const auto count = static_cast<double>(counts[task]);
    result.base[task] /= count;
    for (std::size_t stage = 0; stage <= num_tasks; ++stage) {
      result.matrix.set(static_cast<int>(stage), static_cast<int>(task),
                        stage_sums[stage][task] / count);
    }
  }
}

/// The true task's expert, and who answered at the last stage instead.
void judge_routes(EvaluationResult& result) {
  const std::size_t num_tasks = result.tasks().size();
  std::int64_t num_right = 0;
  result.oracle.assign(num_tasks, 0.0);
  result.routing.assign(num_tasks, std::vector<std::int64_t>(num_tasks + 1, 0));
  std::vector<std::int64_t> counts(num_tasks, 0);
  for (const ScoredRecord& scored : result.records) {
    const auto task = static_cast<std::size_t>(scored.record.task_index);
    BATON_ASSERT(scored.scores[task].has_value(),
                 fmt::format("task {} without its oracle answer", task));
    ++counts[task];
    result.oracle[task] += *scored.scores[task];
    const int answerer = scored.answered_by.back();
    ++result.routing[task]
                    [answerer == method::kBase ? num_tasks : static_cast<std::size_t>(answerer)];
    num_right += answerer == static_cast<int>(task) ? 1 : 0;
  }
  for (std::size_t task = 0; task < num_tasks; ++task) {
    result.oracle[task] /= static_cast<double>(counts[task]);
  }
  result.routing_accuracy =
      static_cast<double>(num_right) / static_cast<double>(result.records.size());
}

}  // namespace

double EvaluationResult::routing_accuracy_of(std::size_t task) const {
  std::int64_t total = 0;
  for (const std::int64_t count : routing[task]) {
    total += count;
  }
  return static_cast<double>(routing[task][task]) / static_cast<double>(total);
}

EvaluationResult summarise(const EvaluationInput& input,
                           std::span<const QueryRecord> records,
                           const std::string& metric) {
  BATON_ASSERT(!records.empty(), "no records");
  std::vector<std::string> names;
  for (const EvalTask& task : input.tasks) {
    names.push_back(task.name);
  }
  const metrics::MetricFunction score = metrics::make_metric(metric);
  const std::vector<method::PanelExpert> experts = panel_of(input.experts);
  EvaluationResult result{
      .metric = metric, .router = input.router->name(), .matrix = metrics::ScoreMatrix(names)};
  for (const QueryRecord& record : records) {
    result.records.push_back(score_record(input, record, score));
    route_stages(input, experts, result.records.back(), result.cost);
  }
  result.cost.experts_asked_mean /= static_cast<double>(result.cost.num_queries);
  average_scores(result);
  result.has_experts = input.has_experts;
  result.has_stages = input.experts.size() == input.tasks.size();
  if (result.has_experts) {
    judge_routes(result);
  }
  for (const EvalTask& task : input.tasks) {
    result.num_leaked.push_back(task.num_leaked);
  }
  return result;
}

}  // namespace baton::eval
