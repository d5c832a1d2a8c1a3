#include "baton/eval/evaluator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>

#include "batches.hpp"
#include "baton/base/error.hpp"

namespace baton::eval {
namespace {

using base::Error;
using base::ErrorKind;

std::vector<QueryPlace> places_of(const EvaluationInput& input) {
  std::vector<QueryPlace> places;
  for (std::size_t task = 0; task < input.tasks.size(); ++task) {
    for (std::size_t query = 0; query < input.tasks[task].queries.size(); ++query) {
      places.push_back({task, query});
    }
  }
  return places;
}

void check_input(const EvaluationInput& input) {
  BATON_ASSERT(input.tasks.size() == input.experts.size() && !input.tasks.empty(),
               fmt::format("{} tasks, {} experts", input.tasks.size(), input.experts.size()));
  for (std::size_t task = 0; task < input.tasks.size(); ++task) {
    const EvalTask& entry = input.tasks[task];
    BATON_ASSERT(entry.name == input.experts[task].name,
                 entry.name + " / " + input.experts[task].name);
    if (entry.name == "base") {
      throw Error(ErrorKind::kUsage, "a task must not be named base",
                  {.where = "data.tasks",
                   .expected = "another name: results call the model without an expert base",
                   .found = "base",
                   .fix = "rename the task in dataset_info.json"});
    }
    if (entry.queries.empty()) {
      throw Error(ErrorKind::kData, "a task has no rows to evaluate",
                  {.where = fmt::format("task {}", entry.name),
                   .expected = "at least one evaluation row",
                   .found = "none",
                   .fix = "give the task evaluation rows, or take it out of data.tasks"});
    }
    for (const EvalQuery& query : entry.queries) {
      if (query.prompt.empty()) {
        throw Error(ErrorKind::kData, "an evaluation row has an empty prompt",
                    {.where = fmt::format("task {}, row {}", entry.name, query.id),
                     .expected = "a prompt of at least one token",
                     .found = "none",
                     .fix = "repair or remove the row"});
      }
    }
  }
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// One batch of queries through every expert and the base.
class BatchPass {
 public:
  BatchPass(const Answering& answering,
            const EvaluationInput& input,
            const std::function<bool()>& should_stop,
            RankTimings& timings)
      : answering_(answering), input_(input), should_stop_(should_stop), timings_(timings) {}

  std::vector<QueryRecord> run(const std::vector<QueryPlace>& places) {
    places_ = places;
    prompts_.clear();
    records_.assign(places.size(), {});
    for (std::size_t row = 0; row < places.size(); ++row) {
      prompts_.push_back(input_.tasks[places[row].task].queries[places[row].query].prompt);
      QueryRecord& record = records_[row];
      record.task_index = static_cast<std::int64_t>(places[row].task);
      record.query_index = static_cast<std::int64_t>(places[row].query);
      record.prompt_tokens = static_cast<std::int64_t>(prompts_.back().size());
      record.answers.resize(input_.experts.size());
    }
    for (std::size_t expert = 0; expert < input_.experts.size(); ++expert) {
      check_stop();
      ask_expert(expert);
    }
    check_stop();
    ask_base();
    return std::move(records_);
  }

 private:
  void check_stop() const {
    if (should_stop_ && should_stop_()) {
      throw Error(ErrorKind::kStopped, "asked to stop during the evaluation",
                  {.fix = "run the same command again: finished chunks are kept"});
    }
  }

  Prefill read(const model::AdapterUses* adapters) {
    const Stopwatch watch;
    Prefill start =
        prefill(answering_.model, prompts_, adapters, answering_.base_decoding.max_new_tokens + 1);
    timings_.prefill_seconds += watch.seconds();
    return start;
  }

  std::vector<Answer> decode(Prefill start,
                             const model::AdapterUses* adapters,
                             const DecodeOptions& options) {
    const Stopwatch watch;
    std::vector<Answer> answers;
    for (const Decoded& decoded :
         greedy_decode(answering_.model, std::move(start), adapters, options)) {
      answers.push_back(
          {answer_text(answering_.tokenizer, decoded.tokens), decoded.num_new_tokens});
    }
    timings_.decode_seconds += watch.seconds();
    return answers;
  }

  void ask_expert(std::size_t index) {
    const ChainExpert& expert = input_.experts[index];
    const model::AdapterUses adapters(*expert.adapter);
    Prefill start = read(&adapters);
    const std::vector<double> margins =
        margins_of(answering_.model, start.hidden, expert.accept_id, expert.pass_id);
    // Where it accepts it answers at the stage it is the newest of; its own task's queries are the
    // oracle's.
    std::vector<std::int64_t> rows;
    for (std::size_t row = 0; row < places_.size(); ++row) {
      check_margin(expert, row, margins[row]);
      records_[row].margins.push_back(margins[row]);
      if (margins[row] > expert.threshold || places_[row].task == index) {
        rows.push_back(static_cast<std::int64_t>(row));
      }
    }
    if (rows.empty()) {
      return;
    }
    if (rows.size() < places_.size()) {
      start = start.select_rows(rows);
    }
    const std::vector<Answer> answers =
        decode(std::move(start), &adapters, expert_decoding(expert, answering_.base_decoding));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      records_[static_cast<std::size_t>(rows[i])].answers[index] = answers[i];
    }
  }

  void ask_base() {
    const std::vector<Answer> answers = decode(read(nullptr), nullptr, answering_.base_decoding);
    for (std::size_t row = 0; row < answers.size(); ++row) {
      records_[row].base = answers[row];
    }
  }

  void check_margin(const ChainExpert& expert, std::size_t row, double margin) const {
    if (!std::isfinite(margin)) {
      const EvalTask& task = input_.tasks[places_[row].task];
      throw Error(ErrorKind::kNonFinite, "an expert's margin is not a number",
                  {.where = fmt::format("expert {}, task {}, row {}", expert.name, task.name,
                                        task.queries[places_[row].query].id),
                   .expected = "a finite logit(accept) - logit(pass)",
                   .found = fmt::format("{}", margin),
                   .fix = "train this expert again: its weights diverged or are damaged"});
    }
  }

  const Answering& answering_;
  const EvaluationInput& input_;
  const std::function<bool()>& should_stop_;
  RankTimings& timings_;
  std::vector<QueryPlace> places_;
  std::vector<Prompt> prompts_;
  std::vector<QueryRecord> records_;
};

}  // namespace

std::vector<EvaluationChunk> plan_chunks(const EvaluationInput& input,
                                         std::int64_t eval_batch_size,
                                         std::int64_t max_new_tokens,
                                         std::size_t max_chunks) {
  check_input(input);
  const std::vector<QueryPlace> places = places_of(input);
  std::vector<std::int64_t> lengths;
  for (const QueryPlace& place : places) {
    lengths.push_back(
        static_cast<std::int64_t>(input.tasks[place.task].queries[place.query].prompt.size()));
  }
  const std::vector<std::vector<std::size_t>> batches = batches_by_length(lengths, eval_batch_size);
  const std::size_t batches_a_chunk = (batches.size() + max_chunks - 1) / max_chunks;
  std::vector<EvaluationChunk> chunks;
  for (std::size_t index = 0; index < batches.size(); ++index) {
    if (index % batches_a_chunk == 0) {
      chunks.emplace_back();
    }
    EvaluationChunk& chunk = chunks.back();
    std::vector<QueryPlace>& rows = chunk.batches.emplace_back();
    for (const std::size_t row : batches[index]) {
      rows.push_back(places[row]);
      chunk.cost += static_cast<double>(lengths[row] + max_new_tokens);
    }
  }
  return chunks;
}

ChunkResult evaluate_chunk(const Answering& answering,
                           const EvaluationInput& input,
                           const EvaluationChunk& chunk,
                           const std::function<bool()>& should_stop) {
  const Stopwatch watch;
  ChunkResult result;
  BatchPass pass(answering, input, should_stop, result.timings);
  for (const std::vector<QueryPlace>& rows : chunk.batches) {
    for (QueryRecord& record : pass.run(rows)) {
      result.records.push_back(std::move(record));
    }
    ++result.timings.num_batches;
  }
  result.timings.total_seconds = watch.seconds();
  return result;
}

std::vector<QueryRecord> assemble(const EvaluationInput& input, std::vector<ChunkResult> parts) {
  std::vector<QueryRecord> records;
  for (ChunkResult& part : parts) {
    std::move(part.records.begin(), part.records.end(), std::back_inserter(records));
  }
  std::sort(records.begin(), records.end(), [](const QueryRecord& x, const QueryRecord& y) {
    return std::tie(x.task_index, x.query_index) < std::tie(y.task_index, y.query_index);
  });
  const std::vector<QueryPlace> places = places_of(input);
  BATON_ASSERT(records.size() == places.size(),
               fmt::format("{} records of {} queries", records.size(), places.size()));
  for (std::size_t i = 0; i < places.size(); ++i) {
    const QueryRecord& record = records[i];
    BATON_ASSERT(
        record.task_index == static_cast<std::int64_t>(places[i].task) &&
            record.query_index == static_cast<std::int64_t>(places[i].query),
        fmt::format("record {} is of task {}, query {}", i, record.task_index, record.query_index));
  }
  return records;
}

}  // namespace baton::eval
