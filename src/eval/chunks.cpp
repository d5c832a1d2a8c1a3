// Which batches and chunks an evaluation has, and its records out of them. Pure.

#include <fmt/format.h>

#include <algorithm>

#include "batches.hpp"
#include "baton/base/error.hpp"
#include "baton/eval/evaluator.hpp"

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

// Answers are told apart by who gave them.
void check_name(const EvaluationInput& input, const EvalTask& task) {
  const bool is_base = task.name == "base";
  const bool is_ensemble =
      std::any_of(input.ensembles.begin(), input.ensembles.end(),
                  [&](const Ensemble& ensemble) { return ensemble.voice.name == task.name; });
  if (is_base || is_ensemble) {
    throw Error(ErrorKind::kUsage, "a task must not be named " + task.name,
                {.where = "data.tasks",
                 .expected = std::string("another name: results call ") +
                             (is_base ? "the model without an expert" : "several experts") + " " +
                             task.name,
                 .found = task.name,
                 .fix = "rename the task in dataset_info.json"});
  }
}

void check_input(const EvaluationInput& input) {
  BATON_ASSERT(
      !input.tasks.empty() && (!input.has_experts || input.tasks.size() == input.experts.size()),
      fmt::format("{} tasks, {} experts", input.tasks.size(), input.experts.size()));
  for (const ChainExpert& expert : input.experts) {
    BATON_ASSERT(
        expert.position < input.tasks.size() && expert.name == input.tasks[expert.position].name,
        fmt::format("{} at {}", expert.name, expert.position));
  }
  for (const EvalTask& entry : input.tasks) {
    check_name(input, entry);
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

struct Batches {
  std::vector<std::vector<QueryPlace>> rows;
  std::int64_t max_new_tokens = 0;
};

// Consecutive batches, and so of similar length, `batches_a_chunk` at a time.
void add_chunks(const EvaluationInput& input,
                const Batches& batches,
                int answerer,
                std::size_t batches_a_chunk,
                std::vector<EvaluationChunk>& chunks) {
  for (std::size_t index = 0; index < batches.rows.size(); ++index) {
    if (index % batches_a_chunk == 0) {
      chunks.push_back({.answerer = answerer, .batches = {}});
    }
    EvaluationChunk& chunk = chunks.back();
    chunk.batches.push_back(batches.rows[index]);
    for (const QueryPlace& place : batches.rows[index]) {
      const bool decodes = !input.has_experts || answerer == method::kBase ||
                           answerer >= static_cast<int>(input.experts.size()) ||
                           place.task == static_cast<std::size_t>(answerer);
      chunk.cost +=
          static_cast<double>(input.tasks[place.task].queries[place.query].prompt.size()) +
          (decodes ? static_cast<double>(batches.max_new_tokens) : 0.0);
    }
  }
}

std::size_t rounded_up(std::size_t count, std::size_t per) {
  return (count + per - 1) / per;
}

}  // namespace

std::size_t EvaluationChunk::num_queries() const {
  std::size_t num_queries = 0;
  for (const std::vector<QueryPlace>& rows : batches) {
    num_queries += rows.size();
  }
  return num_queries;
}

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
  Batches batches{.rows = {}, .max_new_tokens = max_new_tokens};
  for (const std::vector<std::size_t>& batch : batches_by_length(lengths, eval_batch_size)) {
    std::vector<QueryPlace>& rows = batches.rows.emplace_back();
    for (const std::size_t row : batch) {
      rows.push_back(places[row]);
    }
  }
  // Of T tasks an expert decodes one row in T, where it takes its own alone. The base and ensembles
  // decode all: half as many batches are as much work.
  const std::size_t num_experts = input.experts.size();
  const std::size_t chunks_an_answerer =
      std::max<std::size_t>(max_chunks / (input.num_voices() + 2), 1);
  const std::size_t fewest = rounded_up(batches.rows.size(), chunks_an_answerer);
  const std::size_t of_expert = std::max(2 * num_experts, fewest);
  const std::size_t of_base = std::max(num_experts, fewest);
  std::vector<EvaluationChunk> chunks;
  for (std::size_t expert = 0; expert < num_experts; ++expert) {
    add_chunks(input, batches, static_cast<int>(expert), of_expert, chunks);
  }
  add_chunks(input, batches, method::kBase, of_base, chunks);
  for (std::size_t voice = num_experts; voice < input.num_voices(); ++voice) {
    add_chunks(input, batches, static_cast<int>(voice), of_base, chunks);
  }
  return chunks;
}

std::vector<QueryRecord> assemble(const EvaluationInput& input, std::vector<ChunkResult> parts) {
  const std::size_t num_experts = input.experts.size();
  const std::size_t num_voices = input.num_voices();
  std::vector<std::size_t> first_of_task;
  std::vector<QueryRecord> records;
  for (std::size_t task = 0; task < input.tasks.size(); ++task) {
    first_of_task.push_back(records.size());
    for (const EvalQuery& query : input.tasks[task].queries) {
      QueryRecord& record = records.emplace_back();
      record.task_index = static_cast<std::int64_t>(task);
      record.query_index = static_cast<std::int64_t>(records.size() - 1 - first_of_task.back());
      record.prompt_tokens = static_cast<std::int64_t>(query.prompt.size());
      record.margins.resize(num_experts);
      record.answers.resize(num_voices);
    }
  }
  // [query][answerer], the base last
  std::vector<std::vector<bool>> is_there(records.size(), std::vector<bool>(num_voices + 1));
  std::size_t num_replies = 0;
  for (ChunkResult& part : parts) {
    const bool is_base = part.answerer == method::kBase;
    const std::size_t answerer = is_base ? num_voices : static_cast<std::size_t>(part.answerer);
    for (Reply& reply : part.replies) {
      const std::size_t place = first_of_task.at(static_cast<std::size_t>(reply.task_index)) +
                                static_cast<std::size_t>(reply.query_index);
      QueryRecord& record = records.at(place);
      BATON_ASSERT(!is_there[place].at(answerer) && (!is_base || reply.answer),
                   fmt::format("answerer {}, task {}, query {}", part.answerer, reply.task_index,
                               reply.query_index));
      is_there[place][answerer] = true;
      ++num_replies;
      if (is_base) {
        record.base = std::move(*reply.answer);
      } else {
        if (answerer < num_experts) {
          record.margins[answerer] = reply.margin;
        }
        record.answers[answerer] = std::move(reply.answer);
      }
    }
  }
  BATON_ASSERT(num_replies == records.size() * (num_voices + 1),
               fmt::format("{} replies to {} queries of {} voices and the base", num_replies,
                           records.size(), num_voices));
  return records;
}

}  // namespace baton::eval
