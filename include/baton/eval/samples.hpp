#pragma once
// predictions.jsonl in the form in which lm-evaluation-harness logs its samples, one line a query,
// for programs that read those. What the chain answered at its last stage. Used by `baton eval
// --export-predictions`. Knows no run folder.

#include <cstdint>
#include <map>
#include <string>

namespace baton::eval {

/// What the lines say besides the predictions.
struct SampleFacts {
  std::map<std::string, std::string> metrics;  // the scorer of each task
  std::int64_t max_new_tokens = 0;
};

/// `predictions` is the text of a predictions.jsonl, `origin` its name in errors: kModel where it is
/// not one. doc_id counts from 0 over all tasks; the task's name, id, prompt and references are in
/// doc. The score is that of predictions.jsonl, from 0 to 100. Hashes are made as the harness makes
/// them.
std::string samples_jsonl(const std::string& predictions,
                          const SampleFacts& facts,
                          const std::string& origin);

}  // namespace baton::eval
