// BIG-bench task.json: one object with all examples of a task. Natural Instructions subtasks carry
// their definition in task_prefix.

#include <fmt/format.h>

#include <limits>

#include "baton/base/text.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

struct TaskFrame {
  std::string instruction;
  std::string input_prefix;  // only where the file itself gives one
  std::string output_prefix;
  std::string choice_prefix;
  bool append_choices = true;
};

// Some published files write the flag as a string.
bool flag_of(const JsonRow& file, const std::string& field, bool usual) {
  const auto place = file.value.find(field);
  if (place == file.value.end() || place->is_null()) {
    return usual;
  }
  if (*place == "true" || *place == "True" || *place == "false" || *place == "False") {
    return *place == "true" || *place == "True";
  }
  if (!place->is_boolean()) {
    refuse_row(file.origin, fmt::format("\"{}\" has the wrong type", field), "true or false",
               describe_type(*place), "correct the file or fetch it again");
  }
  return place->get<bool>();
}

TaskFrame read_frame(const JsonRow& file, const ReadRequest& request) {
  TaskFrame frame;
  frame.instruction = base::trim(
      request.instruction ? *request.instruction : optional_text(file, "task_prefix").value_or(""));
  frame.input_prefix = optional_text(file, "example_input_prefix").value_or("");
  frame.output_prefix = optional_text(file, "example_output_prefix").value_or("");
  frame.choice_prefix = optional_text(file, "choice_prefix").value_or("\n  choice: ");
  frame.append_choices = flag_of(file, "append_choices_to_input", true);
  return frame;
}

const base::Json* find_scores(const JsonRow& row) {
  const auto place = row.value.find("target_scores");
  if (place == row.value.end() || place->is_null()) {
    return nullptr;
  }
  if (!place->is_object() || place->empty()) {
    refuse_row(row.origin, "\"target_scores\" has the wrong form", "an object: choice -> score",
               place->is_object() ? "an empty object" : describe_type(*place),
               "correct this example");
  }
  for (const base::Json& score : *place) {
    if (!score.is_number()) {
      refuse_row(row.origin, "a score in \"target_scores\" has the wrong type", "a number",
                 describe_type(score), "correct this example");
    }
  }
  return &*place;
}

std::vector<std::string> best_choices(const base::Json& scores) {
  double best = -std::numeric_limits<double>::infinity();
  std::vector<std::string> choices;
  for (const auto& [choice, score] : scores.items()) {
    const double value = score.get<double>();
    if (value > best) {
      best = value;
      choices.clear();
    }
    if (value == best) {
      choices.push_back(choice);
    }
  }
  return choices;
}

// Choices stand in the order of their bytes, so that their place in the file gives nothing away.
std::string user_text(const JsonRow& row, const TaskFrame& frame, const base::Json* scores) {
  std::string text = frame.input_prefix + require_text(row, "input");
  if (scores != nullptr && frame.append_choices) {
    for (const auto& item : scores->items()) {
      text += frame.choice_prefix + item.key();
    }
  }
  text = base::trim(text + frame.output_prefix);
  if (frame.instruction.empty() || text.empty()) {
    return frame.instruction + text;
  }
  return frame.instruction + "\n" + text;
}

}  // namespace

std::vector<Example> read_bigbench(const ReadRequest& request) {
  const std::string origin = request.path.string();
  const JsonRow file{base::parse_json(read_text_file(request.path), base::ErrorKind::kData, origin),
                     origin};
  const bool has_list = file.value.is_object() && file.value.contains("examples") &&
                        file.value["examples"].is_array();
  if (!has_list || file.value["examples"].empty()) {
    refuse_row(
        origin, "a BIG-bench file holds no examples", "an object with a list \"examples\"",
        has_list ? "an empty list" : "no such list",
        "name a task.json that holds examples (a task with subtasks keeps them in its folders)");
  }
  const TaskFrame frame = read_frame(file, request);
  std::vector<Example> examples;
  for (const base::Json& value : file.value["examples"]) {
    const JsonRow row{value, fmt::format("{} example {}", origin, examples.size() + 1)};
    if (!value.is_object()) {
      refuse_row(row.origin, "an example is not a JSON object", "an object: {...}",
                 describe_type(value), "correct this example");
    }
    const base::Json* scores = find_scores(row);
    const bool has_target = value.contains("target") && !value["target"].is_null();
    Example example;
    example.conversation = {{"user", user_text(row, frame, scores)}};
    example.references =
        has_target || scores == nullptr ? require_texts(row, "target") : best_choices(*scores);
    if (scores != nullptr) {
      for (const auto& item : scores->items()) {
        example.options.push_back(item.key());
      }
    }
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace baton::data
