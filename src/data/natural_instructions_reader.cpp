// A task file of Natural Instructions: one object with the task's definition and all its instances.
// The prompt is what SSR made of them: definition, an empty line, input.

#include <fmt/format.h>

#include "baton/base/text.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

const base::Json& require_instances(const JsonRow& file) {
  if (!file.value.is_object() || !file.value.contains("Instances") ||
      !file.value["Instances"].is_array() || file.value["Instances"].empty()) {
    refuse_row(file.origin, "a Natural Instructions file holds no instances",
               "an object with \"Definition\" and a list \"Instances\"",
               file.value.is_object() ? "no such list, or an empty one" : describe_type(file.value),
               "name a file like tasks/task024_cosmosqa_answer_generation.json");
  }
  return file.value["Instances"];
}

}  // namespace

std::vector<Example> read_natural_instructions(const ReadRequest& request) {
  const std::string origin = request.path.string();
  const JsonRow file{base::parse_json(read_text_file(request.path), base::ErrorKind::kData, origin),
                     origin};
  const base::Json& instances = require_instances(file);
  // Some tasks have several wordings; the benchmark uses the first.
  const std::string definition = base::trim(
      request.instruction ? *request.instruction : require_texts(file, "Definition").front());
  std::vector<Example> examples;
  for (const base::Json& value : instances) {
    const JsonRow row{value, fmt::format("{} instance {}", origin, examples.size() + 1)};
    if (!value.is_object()) {
      refuse_row(row.origin, "an instance is not a JSON object", "an object: {...}",
                 describe_type(value), "correct this instance");
    }
    const std::string input = base::trim(require_text(row, "input"));
    const std::string gap = definition.empty() || input.empty() ? "" : "\n\n";
    Example example;
    example.id = optional_id(row, "id").value_or("");
    example.conversation = {{"user", definition + gap + input}};
    for (const std::string& output : require_texts(row, "output")) {
      example.references.push_back(base::trim(output));
    }
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace baton::data
