#pragma once
// The tasks of a dataset folder: dataset_info.json names them, their files, layout and columns (as
// LLaMA-Factory users know it); readers turn any layout into Examples. Used by the commands. Errors
// are kData and name file and line, never the row's text. data/README.md describes folder and
// layouts.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "baton/data/dataset_info.hpp"
#include "baton/data/example.hpp"

namespace baton::data {

struct ReadLimits {
  std::int64_t max_train_samples = 0;  // the first rows of the split; 0 = all
  std::int64_t max_eval_samples = 0;
};

class Dataset {
 public:
  /// Reads and checks dataset_info.json; without one, the folder's NAME.train.json / NAME.eval.json
  /// pairs, or what a layout knows by its file names.
  explicit Dataset(const std::filesystem::path& dataset_dir);

  std::vector<std::string> task_names() const;
  /// An unknown name is a kUsage error with the nearest name. `train` is never empty; `eval` is
  /// empty where the entry names no eval rows. All rows of the files are checked, also those beyond
  /// the limits.
  /// Eval prompts that are also train prompts are counted and warned of, within the limits.
  TaskData read_task(const std::string& name, const ReadLimits& limits) const;
  /// The same train rows alone, without a warning.
  std::vector<Example> read_train(const std::string& name, std::int64_t max_train_samples) const;
  /// The eval rows alone, whether or not there are train rows. None: kData.
  std::vector<Example> read_eval(const std::string& name, std::int64_t max_eval_samples) const;

 private:
  class Source;
  const DatasetEntry& find_entry(const std::string& name) const;

  std::filesystem::path dataset_dir_;
  std::vector<DatasetEntry> entries_;
};

}  // namespace baton::data
