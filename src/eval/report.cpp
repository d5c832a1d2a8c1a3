#include "baton/eval/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "baton/base/json.hpp"
#include "baton/base/narrow.hpp"
#include "baton/base/text.hpp"

namespace baton::eval {
namespace {

using base::OrderedJson;

constexpr int kFormat = 1;

struct Summary {
  const char* key;
  const char* formula;
};
constexpr std::array<Summary, 4> kSummaries = {{
    {"AR", "mean over j of a[T][j]"},
    {"BWT", "mean over j < T of (a[T][j] - a[j][j])"},
    {"FWT", "mean over j > 1 of a[j-1][j]"},
    {"forgetting", "mean over j < T of (max over j <= i < T of a[i][j], minus a[T][j])"},
}};

std::array<std::optional<double>, 4> summary_values(const metrics::ScoreMatrix& matrix,
                                                    bool has_stages) {
  if (!has_stages) {
    return {matrix.average()};
  }
  return {matrix.average(), matrix.backward_transfer(), matrix.forward_transfer(),
          matrix.forgetting()};
}

OrderedJson number_or_null(const std::optional<double>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

OrderedJson matrix_json(const metrics::ScoreMatrix& matrix) {
  const auto num_tasks = static_cast<int>(matrix.tasks().size());
  OrderedJson rows = OrderedJson::array();
  for (int stage = 0; stage <= num_tasks; ++stage) {
    OrderedJson row = OrderedJson::array();
    for (int task = 0; task < num_tasks; ++task) {
      row.push_back(matrix.at(stage, task));
    }
    rows.push_back(row);
  }
  return rows;
}

OrderedJson outside_json(const OutsideCounts& counts, bool has_experts) {
  OrderedJson json;
  json["base"] = counts.base;
  json["chain"] = counts.chain;
  json["oracle"] = has_experts ? OrderedJson(counts.oracle) : OrderedJson(nullptr);
  return json;
}

OrderedJson cost_json(const ChainCost& cost) {
  const auto queries = static_cast<double>(cost.num_queries);
  OrderedJson json;
  json["queries"] = cost.num_queries;
  json["experts_asked_mean"] = cost.experts_asked_mean;
  json["prompt_tokens"] = cost.prompt_tokens;
  json["prompt_tokens_prefixed"] = cost.prompt_tokens_prefixed;
  json["prompt_tokens_prefixed_mean"] = static_cast<double>(cost.prompt_tokens_prefixed) / queries;
  json["new_tokens"] = cost.new_tokens;
  json["new_tokens_mean"] = static_cast<double>(cost.new_tokens) / queries;
  json["pass_prompt_tokens"] = cost.pass_prompt_tokens;
  json["pass_new_tokens"] = cost.pass_new_tokens;
  return json;
}

// Null where there are no right and wrong routes.
void add_routing(const RouterResult& result, OrderedJson& json) {
  json["routing"] = nullptr;
  json["routing_accuracy"] = nullptr;
  if (result.has_routing()) {
    json["routing"] = result.routing;
    json["routing_accuracy"] = result.routing_accuracy;
  }
}

OrderedJson router_json(const RouterResult& result, bool has_stages) {
  OrderedJson json;
  json["matrix"] = matrix_json(result.matrix);
  const std::array<std::optional<double>, 4> values = summary_values(result.matrix, has_stages);
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    json[kSummaries[i].key] = number_or_null(values[i]);
  }
  add_routing(result, json);
  json["cost"] = cost_json(result.cost);
  return json;
}

std::string answerer_name(const EvaluationInput& input, int answerer) {
  const ChainExpert* voice = input.voice(answerer);
  return voice == nullptr ? "base" : voice->name;
}

std::string short_number(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}", *value) : "-";
}

std::optional<double> mean_of(const std::vector<double>& values) {
  if (values.empty()) {
    return std::nullopt;
  }
  double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  return sum / static_cast<double>(values.size());
}

}  // namespace

std::string results_json(const EvaluationResult& result, const RunFacts& facts) {
  OrderedJson json;
  json["format"] = kFormat;
  json["method"] = facts.method;
  json["router"] = result.router;
  json["seed"] = facts.seed;
  json["metric"] = result.metric;
  json["metrics"] = OrderedJson::object();
  json["answers_outside"] = OrderedJson::object();
  for (std::size_t task = 0; task < result.task_metrics.size(); ++task) {
    const std::string& name = result.tasks()[task];
    json["metrics"][name] = result.task_metrics[task];
    if (const std::optional<OutsideCounts>& outside = result.outside[task]) {
      json["answers_outside"][name] = outside_json(*outside, result.has_experts);
    }
  }
  json["tasks"] = result.tasks();
  json["matrix"] = matrix_json(result.matrix);
  const std::array<std::optional<double>, 4> values =
      summary_values(result.matrix, result.has_stages);
  OrderedJson formulas;
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    json[kSummaries[i].key] = number_or_null(values[i]);
    formulas[kSummaries[i].key] = kSummaries[i].formula;
  }
  formulas["a"] =
      "a[i][j]: score on task j (from 1) of the chain of the first i experts; row 0 is the base";
  json["oracle"] = nullptr;
  json["base"] = result.base;
  if (result.has_experts) {
    json["oracle"] = result.oracle;
  }
  add_routing(result, json);
  json["cost"] = cost_json(result.cost);
  if (result.has_experts) {
    json["routers"][result.router] = router_json(result, result.has_stages);
    for (const RouterResult& other : result.more) {
      json["routers"][other.router] = router_json(other, result.has_stages);
    }
  }
  json["eval_prompts_in_train"] = OrderedJson::object();
  for (std::size_t task = 0; task < result.num_leaked.size(); ++task) {
    json["eval_prompts_in_train"][result.tasks()[task]] = result.num_leaked[task];
  }
  json["formulas"] = formulas;
  json["base_description"] = facts.base_description;
  json["settings"] = facts.settings;
  return json.dump(1) + "\n";
}

std::string predictions_jsonl(const EvaluationInput& input, const EvaluationResult& result) {
  std::string lines;
  for (const ScoredRecord& scored : result.records) {
    const QueryRecord& record = scored.record;
    const EvalTask& task = input.tasks[static_cast<std::size_t>(record.task_index)];
    const EvalQuery& query = task.queries[static_cast<std::size_t>(record.query_index)];
    OrderedJson margins = OrderedJson::object();
    OrderedJson answers = {{"base", record.base.text}};
    OrderedJson scores = {{"base", scored.base_score}};
    for (std::size_t expert = 0; expert < input.experts.size(); ++expert) {
      if (input.experts[expert].indicators) {
        margins[input.experts[expert].name] = record.margins[expert];
      }
    }
    for (std::size_t voice = 0; voice < input.num_voices(); ++voice) {
      const std::string name = answerer_name(input, static_cast<int>(voice));
      if (record.answers[voice]) {
        answers[name] = record.answers[voice]->text;
        scores[name] = *scored.scores[voice];
      }
    }
    OrderedJson answered_by = OrderedJson::array();
    for (const int answerer : scored.answered_by) {
      answered_by.push_back(answerer_name(input, answerer));
    }
    OrderedJson line;
    line["task"] = task.name;
    line["id"] = query.id;
    line["prompt"] = query.text;
    line["references"] = query.references;
    line["margins"] = margins;
    line["answers"] = answers;
    line["scores"] = scores;
    line["answered_by"] = answered_by;
    line["answer"] = answers[answerer_name(input, scored.answered_by.back())];
    lines += line.dump() + "\n";
  }
  return lines;
}

std::string timings_json(const CallTimings& call) {
  OrderedJson ranks = OrderedJson::array();
  double longest = 0;
  for (const RankTimings& rank : call.by_rank) {
    longest = std::max(longest, rank.total_seconds);
    OrderedJson entry;
    entry["seconds"] = rank.total_seconds;
    entry["prefill_seconds"] = rank.prefill_seconds;
    entry["decode_seconds"] = rank.decode_seconds;
    entry["batches"] = rank.num_batches;
    entry["decode_batches"] = rank.num_decode_batches;
    ranks.push_back(entry);
  }
  OrderedJson json;
  json["format"] = kFormat;
  json["seconds"] = longest;
  json["queries"] = call.num_queries;
  json["queries_before"] = call.num_queries_before;
  json["seconds_per_query"] = nullptr;
  if (call.num_queries > 0) {
    json["seconds_per_query"] = longest / static_cast<double>(call.num_queries);
  }
  json["ranks"] = call.by_rank.size();
  json["threads_per_rank"] = call.threads_per_rank;
  json["by_rank"] = ranks;
  return json.dump(1) + "\n";
}

namespace {

std::string outside_lines(const EvaluationResult& result) {
  std::string text;
  for (std::size_t task = 0; task < result.outside.size(); ++task) {
    const std::optional<OutsideCounts>& counts = result.outside[task];
    if (counts && counts->base + counts->chain + counts->oracle > 0) {
      text += fmt::format(
          "answers of task {} that are none of its labels or options: base {}, chain {}\n",
          result.tasks()[task], counts->base, counts->chain);
    }
  }
  return text;
}

}  // namespace

std::string score_table(const EvaluationResult& result) {
  const std::vector<std::string>& tasks = result.tasks();
  const auto last = static_cast<int>(tasks.size());
  std::vector<std::vector<std::string>> rows;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    rows.push_back(
        {tasks[task], short_number(result.base[task]),
         short_number(result.matrix.at(last, static_cast<int>(task))),
         result.has_experts ? short_number(result.oracle[task]) : "-",
         result.has_routing() ? fmt::format("{:.3f}", result.routing_accuracy_of(task)) : "-"});
  }
  rows.push_back({"mean", short_number(mean_of(result.base)), short_number(result.matrix.average()),
                  short_number(mean_of(result.oracle)),
                  result.has_routing() ? fmt::format("{:.3f}", result.routing_accuracy) : "-"});
  std::string text =
      base::format_table({"task", "base", "chain", "oracle", "routing accuracy"}, rows);
  const std::array<std::optional<double>, 4> values =
      summary_values(result.matrix, result.has_stages);
  std::vector<std::vector<std::string>> summary_rows;
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    summary_rows.push_back({kSummaries[i].key, short_number(values[i]), kSummaries[i].formula});
  }
  text += "\n" + base::format_narrow_table({"summary", "value", "formula"}, summary_rows);
  text += fmt::format(
      "\nscorer {}, {} queries, a[i][j] = chain of the first i experts on task j\n"
      "cost of a query: {:.2f} experts asked, {:.1f} prompt tokens read, {:.1f} tokens decoded\n",
      result.metric, result.cost.num_queries, result.cost.experts_asked_mean,
      static_cast<double>(result.cost.prompt_tokens_prefixed) /
          static_cast<double>(result.cost.num_queries),
      static_cast<double>(result.cost.new_tokens) / static_cast<double>(result.cost.num_queries));
  return text + outside_lines(result);
}

std::string router_table(const EvaluationResult& result) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const RouterResult& router) {
    const auto values = summary_values(router.matrix, result.has_stages);
    rows.push_back({router.router, short_number(values[0]), short_number(values[1]),
                    short_number(values[2]),
                    router.has_routing() ? fmt::format("{:.3f}", router.routing_accuracy) : "-",
                    fmt::format("{:.2f}", router.cost.experts_asked_mean)});
  };
  add(result);
  for (const RouterResult& router : result.more) {
    add(router);
  }
  return base::format_table({"router", "AR", "BWT", "FWT", "routing accuracy", "experts asked"},
                            rows);
}

std::string matrix_table(const EvaluationResult& result) {
  std::vector<std::string> header = {"stage"};
  header.insert(header.end(), result.tasks().begin(), result.tasks().end());
  std::vector<std::vector<std::string>> rows;
  for (std::size_t stage = 0; stage <= result.tasks().size(); ++stage) {
    std::vector<std::string> row = {
        stage == 0 ? "0 (base)" : fmt::format("{} (+{})", stage, result.tasks()[stage - 1])};
    for (std::size_t task = 0; task < result.tasks().size(); ++task) {
      row.push_back(
          short_number(result.matrix.at(static_cast<int>(stage), static_cast<int>(task))));
    }
    rows.push_back(row);
  }
  return base::format_table(header, rows);
}

std::string routing_table(const EvaluationResult& result) {
  std::vector<std::string> header = {"true task"};
  header.insert(header.end(), result.tasks().begin(), result.tasks().end());
  header.push_back("base");
  std::vector<std::vector<std::string>> rows;
  for (std::size_t task = 0; task < result.tasks().size(); ++task) {
    std::vector<std::string> row = {result.tasks()[task]};
    for (const std::int64_t count : result.routing[task]) {
      row.push_back(fmt::format("{}", count));
    }
    rows.push_back(row);
  }
  return base::format_table(header, rows);
}

}  // namespace baton::eval
