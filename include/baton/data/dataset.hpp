#pragma once
// The tasks of a dataset folder: dataset_info.json names them, their files, layout and columns (as
// LLaMA-Factory users know it); readers turn any layout into Examples. Used by the commands. Errors are
// kData and name file and line, never the row's text.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

struct ReadLimits {
  std::int64_t max_train_samples = 0;  // the first rows of the file; 0 = all
  std::int64_t max_eval_samples = 0;
};

class Dataset {
 public:
  /// Reads and checks dataset_info.json.
  explicit Dataset(const std::filesystem::path& dataset_dir);

  std::vector<std::string> task_names() const;
  /// An unknown name is a kUsage error with the nearest name.
  TaskData read_task(const std::string& name, const ReadLimits& limits) const;

 private:
  struct Entry;
  std::filesystem::path dataset_dir_;
  std::vector<Entry> entries_;
};

}  // namespace baton::data
