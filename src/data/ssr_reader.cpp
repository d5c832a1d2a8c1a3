// SSR's split of SuperNI: JSON lines whose full_prompt is what the model reads.

#include <fmt/format.h>

#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

std::vector<Example> read_ssr(const ReadRequest& request) {
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

// Also where the files are not there: the error then names what was looked for.
std::optional<TaskFiles> find_ssr_files(const std::filesystem::path& dataset_dir,
                                        const std::string& task) {
  TaskFiles files{.train_file = task + ".train.json", .eval_file = task + ".eval.json"};
  const std::string sample = task + ".train.smp01.json";
  if (!std::filesystem::exists(dataset_dir / files.train_file) &&
      std::filesystem::exists(dataset_dir / sample)) {
    files.note = fmt::format("{} is not there; the sample {} is used", files.train_file, sample);
    files.train_file = sample;
  }
  return files;
}

}  // namespace baton::data
