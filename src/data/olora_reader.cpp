// O-LoRA's CL_Benchmark: TYPE/DATASET/{train,dev,test}.json are lists of sentence and label,
// labels.json beside them lists the labels. The prompt is built as that benchmark builds it (an
// instruction of the task's type, the options, the sentence, "Answer:"); the wording of the
// instructions is ours, "instruction" of an entry replaces it.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "baton/base/text.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

struct TypeInstruction {
  const char* type;
  const char* text;
};

constexpr std::array<TypeInstruction, 8> kInstructions{{
    {"BoolQA",
     "Is the question about this passage to be answered with true or false? Choose an option."},
    {"COPA", ""},  // the sentence says what is asked
    {"MultiRC",
     "Is the candidate answer to the question about this passage true or false? Choose an option."},
    {"NLI", "How does sentence 2 follow from sentence 1? Choose an option."},
    {"QQP", "Do the first and the second sentence mean the same? Choose an option."},
    {"SC", "What feeling does the following text express? Choose an option."},
    {"TC", "What is the following text about? Choose an option."},
    {"WiC", "Does the word have the same sense in both sentences? Choose an option."},
}};

std::string instruction_for(const ReadRequest& request) {
  if (request.instruction) {
    return *request.instruction;
  }
  const std::string type = request.path.parent_path().parent_path().filename().string();
  std::vector<std::string> known;
  for (const TypeInstruction& entry : kInstructions) {
    if (type == entry.type) {
      return entry.text;
    }
    known.emplace_back(entry.type);
  }
  refuse_row(request.path.string(), "the folder names no known type of task",
             "TYPE/DATASET/" + request.path.filename().string() + ", TYPE one of " +
                 base::join(known, ", "),
             "\"" + type + "\"", "set \"instruction\" in the task's entry of dataset_info.json");
}

std::vector<std::string> read_labels(const std::filesystem::path& path) {
  const std::string origin = path.string();
  const base::Json list = base::parse_json(read_text_file(path), base::ErrorKind::kData, origin);
  return require_texts({base::Json{{"labels", list}}, origin}, "labels");
}

}  // namespace

std::vector<Example> read_olora(const ReadRequest& request) {
  const std::vector<std::string> labels = read_labels(request.path.parent_path() / "labels.json");
  const std::string instruction = instruction_for(request);
  const std::string head =
      instruction.empty()
          ? ""
          : fmt::format("{}\nOption: {} \n", base::trim(instruction), base::join(labels, ", "));
  std::vector<Example> examples;
  for (const JsonRow& row : read_json_rows(request.path)) {
    Example example;
    example.id = optional_id(row, request.columns.at("id")).value_or("");
    example.conversation = {
        {"user", head + require_text(row, request.columns.at("prompt")) + "\nAnswer:"}};
    const std::string& field = request.columns.at("response");
    example.references = {require_text(row, field)};
    if (std::find(labels.begin(), labels.end(), example.references.front()) == labels.end()) {
      refuse_row(row.origin, "a row's label is not one of the data set's",
                 fmt::format("one of the {} texts of labels.json in \"{}\"", labels.size(), field),
                 "another text", "correct this row, or add the label to labels.json");
    }
    example.options = labels;
    example.origin = row.origin;
    examples.push_back(std::move(example));
  }
  return examples;
}

// The one folder TYPE/TASK that has train.json; none when there are several.
std::optional<TaskFiles> find_olora_files(const std::filesystem::path& dataset_dir,
                                          const std::string& task) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& type : std::filesystem::directory_iterator(dataset_dir, error)) {
    if (std::filesystem::exists(type.path() / task / "train.json", error)) {
      found.push_back(type.path().filename().string() + "/" + task);
    }
  }
  if (found.size() != 1) {
    return std::nullopt;
  }
  const std::string test = found.front() + "/test.json";
  return TaskFiles{.train_file = found.front() + "/train.json",
                   .eval_file = std::filesystem::exists(dataset_dir / test, error)
                                    ? test
                                    : found.front() + "/dev.json"};
}

}  // namespace baton::data
