// Rows that are a prompt as the model reads it and its answer: SSR's and TRACE's.

#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

std::vector<Example> read_prompts(const ReadRequest& request) {
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

}  // namespace baton::data
