// SSR's split of SuperNI: JSON lines whose full_prompt is what the model reads.

#include <fmt/format.h>

#include "baton/data/layout.hpp"

namespace baton::data {

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
