#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/eval/evaluator.hpp"
#include "baton/metrics/metric.hpp"

namespace baton::eval {
namespace {

ScoredRecord score_record(const EvaluationInput& input,
                          const QueryRecord& record,
                          const metrics::Scorer& scorer) {
  const EvalTask& task = input.tasks[static_cast<std::size_t>(record.task_index)];
  const EvalQuery& query = task.queries[static_cast<std::size_t>(record.query_index)];
  const auto score = [&](const Answer& answer) {
    return scorer.score(answer.text, {query.references, query.options},
                        fmt::format("task {}, query {}", task.name, query.id));
  };
  ScoredRecord scored;
  scored.record = record;
  const metrics::Score base = score(record.base);
  scored.base_score = base.value;
  scored.base_is_outside = base.is_outside;
  for (const std::optional<Answer>& answer : record.answers) {
    const std::optional<metrics::Score> found =
        answer ? std::optional(score(*answer)) : std::nullopt;
    scored.scores.push_back(found ? std::optional(found->value) : std::nullopt);
    scored.is_outside.push_back(found && found->is_outside);
  }
  return scored;
}

/// The scorer of each task.
std::vector<std::shared_ptr<const metrics::Scorer>> scorers_of(const EvaluationInput& input,
                                                               const std::string& usual) {
  const std::shared_ptr<const metrics::Scorer> other = metrics::make_scorer(usual);
  std::vector<std::shared_ptr<const metrics::Scorer>> scorers;
  for (const EvalTask& task : input.tasks) {
    scorers.push_back(task.scorer ? task.scorer : other);
  }
  return scorers;
}

/// All records through one router: its answerer of every stage, scores, routes and cost.
class RouterScores {
 public:
  RouterScores(const EvaluationInput& input, const method::Router& router)
      : input_(input),
        router_(router),
        panel_(panel_of(input.experts)),
        num_tasks_(input.tasks.size()),
        counts_(num_tasks_, 0),
        stage_sums_(num_tasks_ + 1, std::vector<double>(num_tasks_, 0.0)),
        result_{.router = router.name(), .matrix = metrics::ScoreMatrix(names_of(input))} {
    if (input.has_experts && router.ensembles(input.experts.size()).empty()) {
      result_.routing.assign(num_tasks_, std::vector<std::int64_t>(num_tasks_ + 1, 0));
    }
  }

  /// Returns who answers at stage 0, 1, ... T.
  std::vector<int> add(const ScoredRecord& scored) {
    const auto task = static_cast<std::size_t>(scored.record.task_index);
    ++counts_[task];
    std::vector<int> answered_by;
    method::Route route;
    std::size_t num_there = 0;
    for (std::size_t stage = 0; stage <= num_tasks_; ++stage) {
      while (num_there < input_.experts.size() && input_.experts[num_there].position < stage) {
        ++num_there;
      }
      route = route_of(scored.record, num_there);
      answered_by.push_back(answerer_of(route.answerers, input_.experts.size(), input_.ensembles));
      stage_sums_[stage][task] += score_of(scored, answered_by.back());
    }
    if (result_.has_routing()) {
      const int answerer = answered_by.back();
      ++result_.routing[task][answerer == method::kBase ? num_tasks_
                                                        : static_cast<std::size_t>(answerer)];
      num_right_ += answerer == static_cast<int>(task) ? 1 : 0;
    }
    add_cost(scored.record, route, answered_by.back());
    return answered_by;
  }

  /// Sums over queries in their order, divided last.
  RouterResult finish() {
    for (std::size_t task = 0; task < num_tasks_; ++task) {
      for (std::size_t stage = 0; stage <= num_tasks_; ++stage) {
        result_.matrix.set(static_cast<int>(stage), static_cast<int>(task),
                           stage_sums_[stage][task] / static_cast<double>(counts_[task]));
      }
    }
    const auto num_queries = static_cast<double>(result_.cost.num_queries);
    result_.routing_accuracy = static_cast<double>(num_right_) / num_queries;
    result_.cost.experts_asked_mean /= num_queries;
    return std::move(result_);
  }

 private:
  static std::vector<std::string> names_of(const EvaluationInput& input) {
    std::vector<std::string> names;
    for (const EvalTask& task : input.tasks) {
      names.push_back(task.name);
    }
    return names;
  }

  method::Route route_of(const QueryRecord& record, std::size_t num_there) const {
    const EvalTask& task = input_.tasks[static_cast<std::size_t>(record.task_index)];
    const EvalQuery& query = task.queries[static_cast<std::size_t>(record.query_index)];
    return method::route(
        router_, {.id = query.id, .true_task = task.name, .features = query.features},
        std::span(panel_).first(num_there),
        [&](int expert) { return record.margins[static_cast<std::size_t>(expert)]; });
  }

  static double score_of(const ScoredRecord& scored, int answerer) {
    if (answerer == method::kBase) {
      return scored.base_score;
    }
    const std::optional<double>& score = scored.scores[static_cast<std::size_t>(answerer)];
    BATON_ASSERT(score.has_value(),
                 fmt::format("task {}, query {}, expert {}", scored.record.task_index,
                             scored.record.query_index, answerer));
    return *score;
  }

  // Of the last stage's route. Who was asked has read the prompt.
  void add_cost(const QueryRecord& record, const method::Route& route, int answerer) {
    ChainCost& cost = result_.cost;
    const std::size_t num_asked = route.asked.size();
    const bool was_asked =
        std::any_of(route.asked.begin(), route.asked.end(),
                    [answerer](const method::Asked& asked) { return asked.expert == answerer; });
    const auto reads = static_cast<std::int64_t>(num_asked) + (was_asked ? 0 : 1);
    ++cost.num_queries;
    cost.experts_asked_mean += static_cast<double>(num_asked);  // a sum until the end
    cost.prompt_tokens += record.prompt_tokens;
    cost.prompt_tokens_prefixed += reads * record.prompt_tokens;
    cost.new_tokens += answerer == method::kBase
                           ? record.base.new_tokens
                           : record.answers[static_cast<std::size_t>(answerer)]->new_tokens;
    cost.pass_prompt_tokens +=
        static_cast<std::int64_t>(input_.num_voices() + 1) * record.prompt_tokens;
    cost.pass_new_tokens += record.base.new_tokens;
    for (const std::optional<Answer>& answer : record.answers) {
      cost.pass_new_tokens += answer ? answer->new_tokens : 0;
    }
  }

  const EvaluationInput& input_;
  const method::Router& router_;
  std::vector<method::PanelExpert> panel_;
  std::size_t num_tasks_;
  std::vector<std::int64_t> counts_;             // [T] queries
  std::vector<std::vector<double>> stage_sums_;  // [T + 1][T]
  std::int64_t num_right_ = 0;
  RouterResult result_;
};

RouterResult scores_of(const EvaluationInput& input,
                       const method::Router& router,
                       std::span<const ScoredRecord> records) {
  RouterScores scores(input, router);
  for (const ScoredRecord& record : records) {
    scores.add(record);
  }
  return scores.finish();
}

/// What the base scores, and the true task's expert where there are such.
void average_bounds(EvaluationResult& result) {
  const std::size_t num_tasks = result.tasks().size();
  std::vector<double> counts(num_tasks, 0);
  result.base.assign(num_tasks, 0.0);
  result.oracle.assign(result.has_experts ? num_tasks : 0, 0.0);
  for (const ScoredRecord& scored : result.records) {
    const auto task = static_cast<std::size_t>(scored.record.task_index);
    ++counts[task];
    result.base[task] += scored.base_score;
    if (result.has_experts) {
      BATON_ASSERT(scored.scores[task].has_value(),
                   fmt::format("task {} without its oracle answer", task));
      result.oracle[task] += *scored.scores[task];
    }
  }
  for (std::size_t task = 0; task < num_tasks; ++task) {
    result.base[task] /= counts[task];
    if (result.has_experts) {
      result.oracle[task] /= counts[task];
    }
  }
}

/// What the scorers are called, and whose answers are none of the labels or options: the base's,
/// the chain's, the own expert's.
void note_scorers(std::span<const std::shared_ptr<const metrics::Scorer>> scorers,
                  EvaluationResult& result) {
  std::set<std::string> names;
  for (const std::shared_ptr<const metrics::Scorer>& scorer : scorers) {
    result.task_metrics.push_back(scorer->name());
    names.insert(scorer->name());
    result.outside.push_back(
        scorer->has_fixed_answers() ? std::optional<OutsideCounts>(std::in_place) : std::nullopt);
  }
  result.metric = base::join(std::vector<std::string>(names.begin(), names.end()), ", ");
  for (const ScoredRecord& scored : result.records) {
    const auto task = static_cast<std::size_t>(scored.record.task_index);
    if (std::optional<OutsideCounts>& counts = result.outside[task]) {
      const int answerer = scored.answered_by.back();
      const bool chain_is_outside = answerer == method::kBase
                                        ? scored.base_is_outside
                                        : scored.is_outside[static_cast<std::size_t>(answerer)];
      counts->base += scored.base_is_outside ? 1 : 0;
      counts->chain += chain_is_outside ? 1 : 0;
      counts->oracle += result.has_experts && scored.is_outside[task] ? 1 : 0;
    }
  }
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
  const auto scorers = scorers_of(input, metric);
  std::vector<ScoredRecord> all;
  RouterScores chain(input, *input.router);
  for (const QueryRecord& record : records) {
    all.push_back(
        score_record(input, record, *scorers[static_cast<std::size_t>(record.task_index)]));
    all.back().answered_by = chain.add(all.back());
  }
  EvaluationResult result(chain.finish());
  result.has_experts = input.has_experts;
  result.has_stages = input.experts.size() == input.tasks.size();
  result.records = std::move(all);
  average_bounds(result);
  note_scorers(scorers, result);
  for (const method::Router* router : input.more_routers) {
    result.more.push_back(scores_of(input, *router, result.records));
  }
  for (const EvalTask& task : input.tasks) {
    result.num_leaked.push_back(task.num_leaked);
  }
  return result;
}

}  // namespace baton::eval
