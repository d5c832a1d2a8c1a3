#pragma once
// dataset_info.json: what a dataset folder says about its tasks. Only the table is read here, no
// task file. Entries may come from a LLaMA-Factory folder and name layouts or sources this program
// cannot read: that is an error only when such a task is asked for. data/README.md describes every
// key.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace baton::data {

struct DatasetEntry {
  std::string name;
  std::string origin;  // "data/dataset_info.json, entry \"qa\"": for errors
  std::string formatting = "alpaca";
  std::string file_name;   // one file, split into train and eval rows; or
  std::string train_file;  // one file each. Paths are relative to the folder.
  std::string eval_file;
  std::map<std::string, std::string> columns;  // "prompt", "response", ... -> field of a row
  std::optional<std::int64_t> train_rows;      // sizes of the split of file_name
  std::optional<std::int64_t> eval_rows;
  std::optional<std::uint64_t> split_seed;       // of the shuffle that splits file_name
  std::optional<std::string> instruction;        // stands in for what the layout puts before a row
  std::string metric;                            // the task's scorer, or empty
  std::vector<std::string> labels;               // all its answers, or empty
  std::optional<std::int64_t> max_prompt_words;  // longer rows are left out
  std::optional<std::int64_t> max_answer_words;
  std::vector<std::string> unknown_keys;
  std::string unreadable;  // why no file can be read from it ("it names a hub download"), or empty
  std::string note;        // a warning to give when the task is read, or empty
};

/// The entries of dataset_dir/dataset_info.json (when there is one; an entry that names no files gets
/// those that its layout usually has) and, for SSR data, of every
/// pair NAME.train.json / NAME.eval.json that no entry names; sorted by name. Errors are kData.
std::vector<DatasetEntry> read_dataset_info(const std::filesystem::path& dataset_dir);

}  // namespace baton::data
