#include "eval_queries.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/position_limit.hpp"
#include "baton/eval/task_scorer.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::app {

namespace {

// What predictions.jsonl shows: of one message its text, of several each under its role.
std::string prompt_text(const data::Example& example) {
  if (example.conversation.size() == 1) {
    return example.conversation.front().text;
  }
  std::string text;
  for (const tokenizer::Message& message : example.conversation) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n\n", message.role, message.text);
  }
  return text;
}

}  // namespace

eval::EvaluationInput read_queries(const config::Config& config,
                                   const experiment::Workspace& workspace,
                                   const experiment::LoadedExperts& experts) {
  const data::RowEncoder encoder(*workspace.tokenizer, *workspace.prompt_template,
                                 config.data.cutoff_len);
  const data::Dataset dataset(config.data.dataset_dir);
  eval::EvaluationInput input;
  input.experts = experts.chain;
  data::EncodingCounts counts;
  for (const std::string& name : config.data.tasks) {
    if (work::stop_requested()) {
      throw base::Error(base::ErrorKind::kStopped, "asked to stop while the queries were read",
                        {.fix = "run the same command again"});
    }
    const data::TaskData rows =
        dataset.read_task(name, {.max_train_samples = config.data.max_train_samples,
                                 .max_eval_samples = config.data.max_eval_samples});
    eval::EvalTask task{name, {}, rows.num_leaked, eval::scorer_of(rows, config.eval.metric)};
    for (const data::Example& example : rows.eval) {
      eval::EvalQuery query{example.id, encoder.encode_prompt(example, counts), example.references,
                            prompt_text(example), example.options};
      data::check_positions(static_cast<std::int64_t>(query.prompt.size()),
                            1 + config.data.max_new_tokens,
                            workspace.model->config().max_position_embeddings, example.origin);
      task.queries.push_back(std::move(query));
    }
    input.tasks.push_back(std::move(task));
  }
  if (counts.num_rows_cut > 0) {
    base::log_warning(
        "data",
        fmt::format("the text of {} queries was cut to data.cutoff_len = {} ({} tokens in all)",
                    counts.num_rows_cut, config.data.cutoff_len, counts.num_tokens_cut));
  }
  return input;
}

}  // namespace baton::app
