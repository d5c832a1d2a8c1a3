// Multiple choice in MMLU's two forms: CSV without a header (question, four choices, the letter of
// the right one), and JSON rows (question, list of choices, the letter or place of the right one).
// The prompt lists the choices under their letters; the answer is the letter.

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <system_error>

#include "baton/base/text.hpp"
#include "baton/data/csv_file.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

constexpr std::size_t kMaxChoices = 26;
constexpr std::size_t kCsvFields = 6;

struct Question {
  std::string text;
  std::vector<std::string> choices;
  std::string answer;  // a letter, or a place from 0
};

std::string letter_of(std::size_t place) {
  return std::string(1, static_cast<char>('A' + place));
}

[[noreturn]] void refuse_answer(const std::string& origin, std::size_t num_choices) {
  refuse_row(origin, "the right answer is none of the choices",
             fmt::format("a letter from A to {}, or a number from 0 to {}",
                         letter_of(num_choices - 1), num_choices - 1),
             "something else", "correct this row; a CSV file has no header line");
}

std::string right_letter(const Question& question, const std::string& origin) {
  for (std::size_t place = 0; place < question.choices.size(); ++place) {
    const std::string letter = letter_of(place);
    if (question.answer == letter || question.answer == std::to_string(place)) {
      return letter;
    }
  }
  refuse_answer(origin, question.choices.size());
}

Example to_example(const Question& question, const std::string& instruction, std::string origin) {
  if (question.choices.size() < 2 || question.choices.size() > kMaxChoices) {
    refuse_row(origin, "a question has too few or too many choices", "from 2 to 26",
               std::to_string(question.choices.size()), "correct this row");
  }
  Example example;
  std::string text = instruction.empty() ? "" : instruction + "\n\n";
  text += question.text;
  for (std::size_t place = 0; place < question.choices.size(); ++place) {
    text += fmt::format("\n{}. {}", letter_of(place), question.choices[place]);
    example.options.push_back(letter_of(place));
  }
  example.conversation = {{"user", text + "\nAnswer:"}};
  example.references = {right_letter(question, origin)};
  example.origin = std::move(origin);
  return example;
}

std::vector<Example> read_csv(const ReadRequest& request, const std::string& instruction) {
  std::vector<Example> examples;
  for (CsvRow& row : read_csv_rows(request.path)) {
    if (row.fields.size() != kCsvFields) {
      refuse_row(row.origin, "a line of a multiple choice file has another number of fields",
                 "6: question, four choices, letter", std::to_string(row.fields.size()),
                 "correct this line; quote fields that hold commas");
    }
    Question question{.text = row.fields.front(),
                      .choices = {row.fields.begin() + 1, row.fields.end() - 1},
                      .answer = base::trim(row.fields.back())};
    if (base::trim(question.text).empty()) {
      refuse_row(row.origin, "a question is empty", "text", "no text or white space only",
                 "remove this line");
    }
    examples.push_back(to_example(question, instruction, std::move(row.origin)));
  }
  return examples;
}

std::vector<Example> read_json(const ReadRequest& request, const std::string& instruction) {
  const std::string& field = request.columns.at("response");
  std::vector<Example> examples;
  for (const JsonRow& row : read_json_rows(request.path)) {
    Question question{.text = require_text(row, request.columns.at("prompt")),
                      .choices = require_texts(row, request.columns.at("options")),
                      .answer = optional_id(row, field).value_or("")};
    if (base::trim(question.text).empty()) {
      refuse_row(row.origin, "a question is empty", "text", "no text or white space only",
                 "remove this row");
    }
    examples.push_back(to_example(question, instruction, row.origin));
    examples.back().id = optional_id(row, request.columns.at("id")).value_or("");
  }
  return examples;
}

}  // namespace

std::vector<Example> read_mmlu(const ReadRequest& request) {
  const std::string instruction = base::trim(request.instruction.value_or(""));
  return request.path.extension() == ".csv" ? read_csv(request, instruction)
                                            : read_json(request, instruction);
}

// As the benchmark's archive has them: five rows to show the form, and the test rows.
std::optional<TaskFiles> find_mmlu_files(const std::filesystem::path& /*dataset_dir*/,
                                         const std::string& task) {
  return TaskFiles{.train_file = fmt::format("dev/{}_dev.csv", task),
                   .eval_file = fmt::format("test/{}_test.csv", task)};
}

std::vector<std::string> find_mmlu_tasks(const std::filesystem::path& dataset_dir) {
  constexpr std::string_view kSuffix = "_test.csv";
  std::vector<std::string> tasks;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(dataset_dir / "test", error)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(kSuffix) && name.size() > kSuffix.size()) {
      tasks.push_back(name.substr(0, name.size() - kSuffix.size()));
    }
  }
  return tasks;
}

}  // namespace baton::data
