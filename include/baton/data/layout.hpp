#pragma once
// The file layouts by name (`formatting` in dataset_info.json). A layout is one reader file and one
// line in the list of layout.cpp: it turns a file into Examples and knows nothing of splits, limits
// or buffers.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

struct ReadRequest {
  std::filesystem::path path;
  std::map<std::string, std::string> columns;  // every column of the layout -> field of a row
  std::optional<std::string> instruction;
};

/// The files of a task, relative to the dataset folder.
struct TaskFiles {
  std::string train_file;
  std::string eval_file;
  std::string note = {};  // a warning to give when the task is read, or empty
};

struct Layout {
  std::string name;
  std::map<std::string, std::string> columns;  // the columns it knows and their usual fields
  bool reads_instruction = false;
  std::vector<Example> (*read)(const ReadRequest& request);
  /// Where the rows of a task lie when its entry names no files; null where there is no custom.
  std::optional<TaskFiles> (*find_files)(const std::filesystem::path& dataset_dir,
                                         const std::string& task) = nullptr;
  /// The tasks that a folder without a list of tasks holds by its file names; null where there is no
  /// such custom.
  std::vector<std::string> (*find_tasks)(const std::filesystem::path& dataset_dir) = nullptr;
};

const std::vector<Layout>& layouts();

/// Null when no layout has this name.
const Layout* known_layout(const std::string& name);
/// An unknown name is a kData error with the known ones and the nearest.
const Layout& find_layout(const std::string& name, const std::string& origin);

/// The readers of the list. An Example's id is empty where the file gives none.
std::vector<Example> read_prompts(const ReadRequest& request);
std::vector<Example> read_alpaca(const ReadRequest& request);
std::vector<Example> read_bigbench(const ReadRequest& request);
std::vector<Example> read_natural_instructions(const ReadRequest& request);
std::vector<Example> read_olora(const ReadRequest& request);
std::vector<Example> read_sharegpt(const ReadRequest& request);
std::vector<Example> read_mmlu(const ReadRequest& request);

/// Their usual files, where a task's entry names none.
std::optional<TaskFiles> find_ssr_files(const std::filesystem::path& dataset_dir,
                                        const std::string& task);
std::optional<TaskFiles> find_olora_files(const std::filesystem::path& dataset_dir,
                                          const std::string& task);
std::optional<TaskFiles> find_trace_files(const std::filesystem::path& dataset_dir,
                                          const std::string& task);
std::optional<TaskFiles> find_mmlu_files(const std::filesystem::path& dataset_dir,
                                         const std::string& task);

/// The tasks whose usual files are there, by name.
std::vector<std::string> find_mmlu_tasks(const std::filesystem::path& dataset_dir);

}  // namespace baton::data
