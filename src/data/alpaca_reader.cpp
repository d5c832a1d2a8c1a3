// Alpaca rows as LLaMA-Factory reads them: instruction, input, output, and optionally system and
// history.

#include <fmt/format.h>

#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

using tokenizer::Message;

[[noreturn]] void refuse_history(const JsonRow& row, const std::string& field) {
  refuse_row(row.origin, fmt::format("\"{}\" has the wrong form", field),
             "a list of [user text, assistant text] pairs", "something else", "correct this row");
}

void append_history(const JsonRow& row,
                    const std::string& field,
                    std::vector<Message>& conversation) {
  const auto place = row.value.find(field);
  if (place == row.value.end() || place->is_null()) {
    return;
  }
  if (!place->is_array()) {
    refuse_history(row, field);
  }
  for (const base::Json& turn : *place) {
    if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
      refuse_history(row, field);
    }
    conversation.push_back({"user", turn[0].get<std::string>()});
    conversation.push_back({"assistant", turn[1].get<std::string>()});
  }
}

}  // namespace

std::vector<Example> read_alpaca(const ReadRequest& request) {
  std::vector<Example> examples;
  for (const JsonRow& row : read_json_rows(request.path)) {
    Example example;
    example.id = optional_id(row, request.columns.at("id")).value_or("");
    const std::string system = optional_text(row, request.columns.at("system")).value_or("");
    if (!system.empty()) {
      example.conversation.push_back({"system", system});
    }
    append_history(row, request.columns.at("history"), example.conversation);
    std::string prompt = require_text(row, request.columns.at("prompt"));
    const std::string query = optional_text(row, request.columns.at("query")).value_or("");
    if (!query.empty()) {
      prompt += (prompt.empty() ? "" : "\n") + query;
    }
    example.conversation.push_back({"user", std::move(prompt)});
    example.references = require_texts(row, request.columns.at("response"));
    const std::string& options = request.columns.at("options");
    if (row.value.contains(options) && !row.value[options].is_null()) {
      example.options = require_texts(row, options);
    }
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace baton::data
