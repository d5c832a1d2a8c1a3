#include "baton/eval/evaluator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "baton/base/error.hpp"
#include "decode_queue.hpp"

namespace baton::eval {
namespace {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// One chunk: its answerer reads batch after batch and decodes what it may have to answer.
class ChunkPass {
 public:
  ChunkPass(const Answering& answering, const EvaluationInput& input, int answerer)
      : input_(input),
        decodes_all_(answerer == method::kBase ||
                     answerer >= static_cast<int>(input.experts.size())),
        expert_(input.voice(answerer)),
        voice_(answering, expert_),
        queue_(voice_, answering.batch_size, [this](std::size_t reply, Answer answer) {
          result_.replies[reply].answer = std::move(answer);
        }) {
    result_.answerer = answerer;
  }

  void take(const std::vector<QueryPlace>& places) {
    std::vector<Prompt> prompts;
    for (const QueryPlace& place : places) {
      prompts.push_back(query_at(place).prompt);
    }
    const Stopwatch reading;
    Prefill rows = voice_.read(prompts);
    std::vector<double> margins(places.size());
    if (!decodes_all_ && voice_.has_margins()) {
      margins = voice_.margins(rows, [&](std::size_t row) {
        return fmt::format("task {}, row {}", input_.tasks[places[row].task].name,
                           query_at(places[row]).id);
      });
    }
    result_.timings.prefill_seconds += reading.seconds();
    ++result_.timings.num_batches;

    std::vector<std::int64_t> chosen;
    std::vector<std::size_t> replies;
    for (std::size_t row = 0; row < places.size(); ++row) {
      if (is_decoded(places[row], margins[row])) {
        chosen.push_back(static_cast<std::int64_t>(row));
        replies.push_back(result_.replies.size());
      }
      result_.replies.push_back({.task_index = static_cast<std::int64_t>(places[row].task),
                                 .query_index = static_cast<std::int64_t>(places[row].query),
                                 .margin = margins[row]});
    }
    const Stopwatch decoding;
    add_chosen(queue_, std::move(rows), chosen, std::move(replies));
    result_.timings.decode_seconds += decoding.seconds();
  }

  ChunkResult finish() {
    const Stopwatch decoding;
    queue_.finish();
    result_.timings.decode_seconds += decoding.seconds();
    result_.timings.num_decode_batches = queue_.num_batches();
    result_.timings.total_seconds = total_.seconds();
    return std::move(result_);
  }

 private:
  const EvalQuery& query_at(const QueryPlace& place) const {
    return input_.tasks[place.task].queries[place.query];
  }

  // Its own task's queries are the oracle's.
  bool is_decoded(const QueryPlace& place, double margin) const {
    const std::string& task = input_.tasks[place.task].name;
    return decodes_all_ || (input_.has_experts && task == expert_->name) ||
           may_answer(*input_.router, place, margin) ||
           std::any_of(input_.more_routers.begin(), input_.more_routers.end(),
                       [&](const auto* router) { return may_answer(*router, place, margin); });
  }

  bool may_answer(const method::Router& router, const QueryPlace& place, double margin) const {
    return router.may_answer(
        {.id = query_at(place).id,
         .true_task = input_.tasks[place.task].name,
         .features = query_at(place).features},
        {expert_->name, expert_->threshold, static_cast<std::size_t>(result_.answerer)}, margin);
  }

  const Stopwatch total_;
  const EvaluationInput& input_;
  bool decodes_all_;           // the base, or an ensemble: nobody asks for its margin
  const ChainExpert* expert_;  // null: the base
  Voice voice_;
  DecodeQueue queue_;
  ChunkResult result_;
};

}  // namespace

ChunkResult evaluate_chunk(const Answering& answering,
                           const EvaluationInput& input,
                           const EvaluationChunk& chunk,
                           const std::function<bool()>& should_stop) {
  ChunkPass pass(answering, input, chunk.answerer);
  for (const std::vector<QueryPlace>& places : chunk.batches) {
    if (should_stop && should_stop()) {
      throw base::Error(base::ErrorKind::kStopped, "asked to stop during the evaluation",
                        {.fix = "run the same command again: finished chunks are kept"});
    }
    pass.take(places);
  }
  return pass.finish();
}

}  // namespace baton::eval
