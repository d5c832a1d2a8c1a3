// TRACE: a folder a task with train.json, eval.json and test.json, each a list of prompt and answer.

#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

std::vector<Example> read_trace(const ReadRequest& request) {
  std::vector<Example> examples;
  for (const JsonRow& row : read_json_rows(request.path)) {
    Example example;
    example.id = optional_id(row, request.columns.at("id")).value_or("");
    example.conversation = {{"user", require_text(row, request.columns.at("prompt"))}};
    example.references = require_texts(row, request.columns.at("response"));
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

// The benchmark's scores are those of test.json; eval.json was for choosing settings.
std::optional<TaskFiles> find_trace_files(const std::filesystem::path& /*dataset_dir*/,
                                          const std::string& task) {
  return TaskFiles{.train_file = task + "/train.json", .eval_file = task + "/test.json"};
}

}  // namespace baton::data
