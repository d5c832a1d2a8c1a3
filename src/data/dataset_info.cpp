#include "baton/data/dataset_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <system_error>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"

namespace baton::data {

namespace {

constexpr std::string_view kEvalSuffix = ".eval.json";

// Keys of LLaMA-Factory entries that change nothing here.
constexpr std::array<std::string_view, 6> kIgnoredKeys{"tags",   "subset",    "split",
                                                       "folder", "file_sha1", "description"};
constexpr std::array<std::string_view, 5> kDownloadKeys{"hf_hub_url", "ms_hub_url", "om_hub_url",
                                                        "script_url", "cloud_file_name"};

[[noreturn]] void refuse_entry(const std::string& origin,
                               const std::string& summary,
                               const std::string& expected,
                               const std::string& found,
                               const std::string& fix) {
  refuse_row(origin, summary, expected, found, fix);
}

// Reads the values of one entry, key by key.
class EntryReader {
 public:
  explicit EntryReader(DatasetEntry& entry) : entry_(entry) {}

  void read(const std::string& key, const base::Json& value) {
    if (key == "file_name") {
      entry_.file_name = text(key, value);
    } else if (key == "train_file") {
      entry_.train_file = text(key, value);
    } else if (key == "eval_file") {
      entry_.eval_file = text(key, value);
    } else if (key == "formatting") {
      entry_.formatting = text(key, value);
    } else if (key == "instruction") {
      if (!value.is_string()) {
        refuse_type(key, "a string", value);
      }
      entry_.instruction = value.get<std::string>();
    } else if (key == "columns") {
      read_columns(value);
    } else if (key == "train_rows") {
      entry_.train_rows = count(key, value, 1);
    } else if (key == "eval_rows") {
      entry_.eval_rows = count(key, value, 0);
    } else if (key == "split_seed") {
      entry_.split_seed = static_cast<std::uint64_t>(count(key, value, 0));
    } else if (key == "max_prompt_words") {
      entry_.max_prompt_words = count(key, value, 1);
    } else if (key == "max_answer_words") {
      entry_.max_answer_words = count(key, value, 1);
    } else if (key == "metric") {
      entry_.metric = text(key, value);
    } else if (key == "labels") {
      read_labels(value);
    } else {
      read_foreign(key, value);
    }
  }

 private:
  [[noreturn]] void refuse_type(const std::string& key,
                                const std::string& expected,
                                const base::Json& found) const {
    refuse_entry(fmt::format("{}, key \"{}\"", entry_.origin, key),
                 "a key of a task has the wrong type", expected, describe_type(found),
                 "correct it; data/README.md shows every key");
  }

  std::string text(const std::string& key, const base::Json& value) const {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      refuse_type(key, "a string that is not empty", value);
    }
    return value.get<std::string>();
  }

  std::int64_t count(const std::string& key, const base::Json& value, std::int64_t least) const {
    const std::string expected = fmt::format("a whole number, at least {}", least);
    if (!value.is_number_integer()) {
      refuse_type(key, expected, value);
    }
    const auto number = value.get<std::int64_t>();
    if (number < least) {
      refuse_entry(fmt::format("{}, key \"{}\"", entry_.origin, key),
                   "a number of rows is too small", expected, std::to_string(number), "correct it");
    }
    return number;
  }

  void read_labels(const base::Json& value) {
    if (!value.is_array() || value.empty()) {
      refuse_type("labels", "a list of texts that is not empty", value);
    }
    for (const base::Json& label : value) {
      entry_.labels.push_back(text("labels", label));
    }
  }

  void read_columns(const base::Json& value) {
    if (!value.is_object()) {
      refuse_type("columns", "an object: column -> field", value);
    }
    for (const auto& [column, field] : value.items()) {
      if (!field.is_null()) {
        entry_.columns[column] = text("columns", field);
      }
    }
  }

  void read_foreign(const std::string& key, const base::Json& value) {
    const auto is_key = [&key](std::string_view name) { return name == key; };
    if (std::any_of(kDownloadKeys.begin(), kDownloadKeys.end(), is_key)) {
      entry_.unreadable = fmt::format("\"{}\", a download; only local files are read", key);
    } else if (key == "ranking" && value == base::Json(true)) {
      entry_.unreadable = "\"ranking\": true, pairs for preference training";
    } else if (key != "ranking" && std::none_of(kIgnoredKeys.begin(), kIgnoredKeys.end(), is_key)) {
      entry_.unknown_keys.push_back(key);
    }
  }

  DatasetEntry& entry_;
};

// File names of the folder, sorted.
std::set<std::string> list_files(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::directory_iterator files(folder, error);
  if (error) {
    refuse_entry(folder.string(), "the dataset folder cannot be read", "a folder with task files",
                 error.message(), "check data.dataset_dir in the config");
  }
  std::set<std::string> names;
  for (const std::filesystem::directory_entry& file : files) {
    names.insert(file.path().filename().string());
  }
  return names;
}

void set_usual_files(DatasetEntry& entry, const std::filesystem::path& dataset_dir) {
  const Layout* layout = known_layout(entry.formatting);
  if (layout == nullptr || layout->find_files == nullptr) {
    return;
  }
  if (const std::optional<TaskFiles> files = layout->find_files(dataset_dir, entry.name)) {
    entry.train_file = files->train_file;
    entry.eval_file = files->eval_file;
    entry.note = files->note;
  }
}

std::vector<DatasetEntry> read_table(const std::filesystem::path& path,
                                     const std::filesystem::path& dataset_dir) {
  const base::Json table =
      base::parse_json(read_text_file(path), base::ErrorKind::kData, path.string());
  if (!table.is_object()) {
    refuse_entry(path.string(), "dataset_info.json is not a table of tasks",
                 "an object: name -> entry", describe_type(table), "see data/README.md");
  }
  std::vector<DatasetEntry> entries;
  for (const auto& [name, value] : table.items()) {
    DatasetEntry entry;
    entry.name = name;
    entry.origin = fmt::format("{}, entry \"{}\"", path.string(), name);
    if (!value.is_object()) {
      refuse_entry(entry.origin, "an entry of dataset_info.json is not an object",
                   "an object: {...}", describe_type(value), "see data/README.md");
    }
    for (const auto& [key, content] : value.items()) {
      EntryReader(entry).read(key, content);
    }
    if (entry.file_name.empty() && entry.train_file.empty() && entry.eval_file.empty()) {
      set_usual_files(entry, dataset_dir);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

void add_unlisted_pairs(const std::filesystem::path& dataset_dir,
                        const std::set<std::string>& files,
                        std::vector<DatasetEntry>& entries) {
  std::set<std::string> taken;
  for (const DatasetEntry& entry : entries) {
    taken.insert({entry.name, entry.train_file, entry.eval_file, entry.file_name});
  }
  for (const std::string& file : files) {
    if (!file.ends_with(kEvalSuffix) || file.size() == kEvalSuffix.size()) {
      continue;
    }
    DatasetEntry entry;
    entry.name = file.substr(0, file.size() - kEvalSuffix.size());
    entry.origin =
        fmt::format("{}, task \"{}\" found by its file names", dataset_dir.string(), entry.name);
    entry.formatting = "ssr";
    set_usual_files(entry, dataset_dir);
    const bool is_pair = files.contains(entry.train_file);
    if (is_pair && !taken.contains(entry.name) && !taken.contains(entry.train_file) &&
        !taken.contains(entry.eval_file)) {
      entries.push_back(std::move(entry));
    }
  }
}

// A folder without a list of tasks, whose layout shows in its file names.
void add_usual_tasks(const std::filesystem::path& dataset_dir, std::vector<DatasetEntry>& entries) {
  for (const Layout& layout : layouts()) {
    if (layout.find_tasks == nullptr) {
      continue;
    }
    for (const std::string& task : layout.find_tasks(dataset_dir)) {
      DatasetEntry entry;
      entry.name = task;
      entry.origin =
          fmt::format("{}, task \"{}\" found by its file names", dataset_dir.string(), task);
      entry.formatting = layout.name;
      set_usual_files(entry, dataset_dir);
      entries.push_back(std::move(entry));
    }
  }
}

}  // namespace

std::vector<DatasetEntry> read_dataset_info(const std::filesystem::path& dataset_dir) {
  const std::set<std::string> files = list_files(dataset_dir);
  std::vector<DatasetEntry> entries;
  if (files.contains("dataset_info.json")) {
    entries = read_table(dataset_dir / "dataset_info.json", dataset_dir);
  }
  add_unlisted_pairs(dataset_dir, files, entries);
  if (entries.empty()) {
    add_usual_tasks(dataset_dir, entries);
  }
  if (entries.empty()) {
    refuse_entry(dataset_dir.string(), "the dataset folder names no task",
                 "dataset_info.json, pairs of NAME.train.json and NAME.eval.json, or "
                 "test/NAME_test.csv",
                 "none of them",
                 "check data.dataset_dir in the config; data/README.md describes the folder");
  }
  std::sort(entries.begin(), entries.end(),
            [](const DatasetEntry& a, const DatasetEntry& b) { return a.name < b.name; });
  return entries;
}

}  // namespace baton::data
