#include "baton/data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/base/text.hpp"
#include "baton/data/layout.hpp"
#include "baton/data/row_file.hpp"
#include "baton/metrics/metric.hpp"

namespace baton::data {

namespace {

constexpr std::string_view kArea = "data";
constexpr std::uint64_t kSplitSeed = 42;  // usual one, fixed: a file splits alike in every run
constexpr std::int64_t kMaxUsualEvalRows = 500;

enum class Split { kTrain, kEval };

bool is_blank(const std::string& text) {
  return base::trim(text).empty();
}

std::vector<std::string> layouts_with_instruction() {
  std::vector<std::string> names;
  for (const Layout& layout : layouts()) {
    if (layout.reads_instruction) {
      names.push_back(layout.name);
    }
  }
  return names;
}

void check_scorer(const DatasetEntry& entry) {
  const std::vector<std::string> names = metrics::metric_names();
  if (!entry.metric.empty() && std::find(names.begin(), names.end(), entry.metric) == names.end()) {
    const std::optional<std::string> nearest = base::nearest_name(entry.metric, names);
    refuse_row(entry.origin + ", key \"metric\"", "there is no scorer of this name",
               base::join(names, ", "), "\"" + entry.metric + "\"",
               nearest ? "did you mean \"" + *nearest + "\"?" : "use one of these names");
  }
  if (!entry.labels.empty() && !entry.metric.empty() && entry.metric != "accuracy") {
    refuse_row(entry.origin, "\"labels\" have no effect on this scorer", "metric \"accuracy\"",
               "\"" + entry.metric + "\"", "remove them, or score by accuracy");
  }
}

void check_entry(const DatasetEntry& entry, const Layout& layout) {
  if (!entry.unreadable.empty()) {
    refuse_row(entry.origin, "this task cannot be read",
               "\"file_name\", or \"train_file\" and \"eval_file\"", entry.unreadable,
               "fetch the rows into the folder and name their files");
  }
  if (!entry.unknown_keys.empty()) {
    const std::vector<std::string> keys{
        "file_name",  "train_file",       "eval_file",       "formatting",  "columns",
        "train_rows", "eval_rows",        "split_seed",      "instruction", "metric",
        "labels",     "max_prompt_words", "max_answer_words"};
    const std::optional<std::string> nearest = base::nearest_name(entry.unknown_keys.front(), keys);
    refuse_row(entry.origin, "a task has a key that is not known", base::join(keys, ", "),
               "\"" + entry.unknown_keys.front() + "\"",
               nearest ? "did you mean \"" + *nearest + "\"?" : "remove it");
  }
  if (entry.file_name.empty() == entry.train_file.empty() ||
      (!entry.file_name.empty() && !entry.eval_file.empty())) {
    refuse_row(entry.origin, "it is not clear which files hold this task's rows",
               "either \"file_name\" alone, or \"train_file\" with \"eval_file\"",
               entry.file_name.empty() ? "no file of train rows" : "more than one kind",
               "name the files as data/README.md shows");
  }
  if (entry.file_name.empty() && (entry.train_rows || entry.eval_rows || entry.split_seed)) {
    refuse_row(entry.origin,
               "\"train_rows\", \"eval_rows\" and \"split_seed\" say how one file is split",
               "\"file_name\" beside them", "\"train_file\"",
               "limit separate files by data.max_train_samples and data.max_eval_samples");
  }
  if (entry.instruction && !layout.reads_instruction) {
    refuse_row(entry.origin, "\"instruction\" has no effect on this layout",
               "one of " + base::join(layouts_with_instruction(), ", "), "\"" + layout.name + "\"",
               "remove it");
  }
  check_scorer(entry);
  std::vector<std::string> names;
  for (const auto& [column, field] : layout.columns) {
    names.push_back(column);
  }
  for (const auto& [column, field] : entry.columns) {
    if (!layout.columns.contains(column)) {
      const std::optional<std::string> nearest = base::nearest_name(column, names);
      refuse_row(entry.origin + ", key \"columns\"", "the layout has no column of this name",
                 names.empty() ? "no columns" : base::join(names, ", "), "\"" + column + "\"",
                 nearest ? "did you mean \"" + *nearest + "\"?" : "remove it");
    }
  }
}

// The name becomes a file name of the run folder and an item of a comma-separated list.
void check_name(const DatasetEntry& entry) {
  const bool good = !entry.name.empty() && entry.name.front() != '.' &&
                    std::none_of(entry.name.begin(), entry.name.end(), [](char c) {
                      return c == '/' || c == '\\' || c == ',' ||
                             static_cast<unsigned char>(c) <= ' ' || c == '\x7F';
                    });
  if (!good || entry.name.size() > 100) {
    refuse_row(
        entry.origin, "a task's name cannot be used as a file name",
        "up to 100 characters without space, comma, slash or backslash, not starting with a dot",
        good ? fmt::format("{} bytes", entry.name.size()) : "another character",
        "give the task another name");
  }
}

void check_rows(std::vector<Example>& examples, Split split) {
  std::unordered_map<std::string, std::string> origin_of;
  std::int64_t num_empty = 0;
  std::string first_empty;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    Example& example = examples[i];
    if (example.id.empty()) {
      example.id = fmt::format("row-{}", i + 1);
    }
    const auto [place, is_new] = origin_of.try_emplace(example.id, example.origin);
    if (!is_new) {
      refuse_row(example.origin, "two rows have the same id", "ids that differ within a file",
                 "the id of " + place->second,
                 "remove one of the rows, or leave the ids out: rows are then numbered");
    }
    for (const tokenizer::Message& message : example.conversation) {
      if (message.text.find('\0') != std::string::npos) {
        refuse_row(example.origin, "a text holds a NUL character", "text", "\\u0000",
                   "remove it from this row");
      }
    }
    if (is_blank(example.conversation.back().text)) {
      refuse_row(example.origin, "the prompt is empty", "text for the model to answer",
                 "no text or white space only", "remove this row");
    }
    if (is_blank(example.references.front())) {
      if (split == Split::kTrain) {
        refuse_row(example.origin, "the answer of a train row is empty", "text to learn",
                   "no text or white space only", "remove this row");
      }
      first_empty = num_empty++ == 0 ? example.origin : first_empty;
    }
  }
  if (num_empty > 0) {
    base::log_warning(
        kArea, fmt::format(
                   "{} of {} eval rows have an empty answer and can score nothing (the first: {}): "
                   "give them answers, or remove them",
                   num_empty, examples.size(), first_empty));
  }
}

std::int64_t count_words(const std::string& text) {
  std::int64_t num_words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    num_words += !is_space && !in_word ? 1 : 0;
    in_word = !is_space;
  }
  return num_words;
}

// After the rows got their numbers: a row keeps its name whatever is left out.
void leave_out_long_rows(const DatasetEntry& entry,
                         const std::string& path,
                         std::vector<Example>& examples) {
  const std::size_t num_all = examples.size();
  std::erase_if(examples, [&entry](const Example& example) {
    const bool long_prompt =
        entry.max_prompt_words &&
        count_words(example.conversation.back().text) > *entry.max_prompt_words;
    return long_prompt || (entry.max_answer_words &&
                           count_words(example.references.front()) > *entry.max_answer_words);
  });
  if (examples.empty()) {
    refuse_row(entry.origin, "\"max_prompt_words\" and \"max_answer_words\" leave no row",
               "limits that some rows keep", fmt::format("{} longer rows in {}", num_all, path),
               "raise them");
  }
  if (examples.size() < num_all) {
    base::log_info(kArea, fmt::format("{}: {} of {} rows are longer than max_prompt_words or "
                                      "max_answer_words and left out",
                                      path, num_all - examples.size(), num_all));
  }
}

struct SplitSizes {
  std::size_t num_train = 0;
  std::size_t num_eval = 0;
};

SplitSizes split_sizes(const DatasetEntry& entry, std::size_t num_rows) {
  const auto rows = static_cast<std::int64_t>(num_rows);
  const std::int64_t usual = std::clamp<std::int64_t>((rows + 2) / 5, 1, kMaxUsualEvalRows);
  const std::int64_t num_eval = entry.eval_rows.value_or(usual);
  const std::int64_t num_train = entry.train_rows.value_or(rows - num_eval);
  if (num_train < 1 || num_eval > rows || num_train > rows - num_eval) {
    refuse_row(entry.origin, "the file holds too few rows for this split",
               entry.train_rows
                   ? fmt::format("{} train and {} eval rows", num_train, num_eval)
                   : fmt::format("more than {} rows, that many are for evaluation", num_eval),
               fmt::format("{} rows", rows), "lower \"train_rows\" or \"eval_rows\"");
  }
  return {static_cast<std::size_t>(num_train), static_cast<std::size_t>(num_eval)};
}

// Eval rows are drawn first, so that train_rows does not move them. Both stay in the drawn order:
// files are often sorted, and the first rows of a split should be a fair sample of it.
void split_rows(const DatasetEntry& entry, std::vector<Example> examples, TaskData& task) {
  const SplitSizes sizes = split_sizes(entry, examples.size());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    order.push_back(i);
  }
  base::Random random(base::seed_for(entry.split_seed.value_or(kSplitSeed), {"data", "split"}));
  random.shuffle(std::span<std::size_t>(order));
  for (std::size_t i = 0; i < sizes.num_eval + sizes.num_train; ++i) {
    (i < sizes.num_eval ? task.eval : task.train).push_back(std::move(examples[order[i]]));
  }
}

void limit_rows(std::vector<Example>& examples, std::int64_t max_rows) {
  if (max_rows > 0 && static_cast<std::size_t>(max_rows) < examples.size()) {
    examples.erase(examples.begin() + static_cast<std::ptrdiff_t>(max_rows), examples.end());
  }
}

std::string prompt_key(const Example& example) {
  std::string key;
  for (const tokenizer::Message& message : example.conversation) {
    key += message.role + '\0' + message.text + '\0';
  }
  return key;
}

// Counted among the rows that are used: a leak beyond the limits touches no score.
void find_leaks(TaskData& task) {
  if (task.eval.empty()) {
    return;
  }
  constexpr std::size_t kMaxShown = 3;
  std::unordered_map<std::string, std::string> train_origins;
  for (const Example& example : task.train) {
    train_origins.try_emplace(prompt_key(example), example.origin);
  }
  std::vector<std::string> shown;
  for (const Example& example : task.eval) {
    const auto found = train_origins.find(prompt_key(example));
    if (found == train_origins.end()) {
      continue;
    }
    if (++task.num_leaked <= static_cast<std::int64_t>(kMaxShown)) {
      shown.push_back(example.origin + " is " + found->second);
    }
  }
  if (task.num_leaked > 0) {
    base::log_warning(
        kArea,
        fmt::format("task {}: {} of {} eval prompts are also train prompts ({}{}): its scores "
                    "will be too high; remove them from one of the two",
                    task.name, task.num_leaked, task.eval.size(), base::join(shown, "; "),
                    task.num_leaked > static_cast<std::int64_t>(kMaxShown) ? "; ..." : ""));
  }
}

}  // namespace

Dataset::Dataset(const std::filesystem::path& dataset_dir)
    : dataset_dir_(dataset_dir), entries_(read_dataset_info(dataset_dir)) {}

std::vector<std::string> Dataset::task_names() const {
  std::vector<std::string> names;
  for (const DatasetEntry& entry : entries_) {
    names.push_back(entry.name);
  }
  return names;
}

const DatasetEntry& Dataset::find_entry(const std::string& name) const {
  for (const DatasetEntry& entry : entries_) {
    if (entry.name == name) {
      return entry;
    }
  }
  const std::vector<std::string> names = task_names();
  const std::optional<std::string> nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "the dataset folder has no task of this name",
      {.where = dataset_dir_.string() + ", named in data.tasks or data.general",
       .expected = base::join(names, ", "),
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?"
                      : "name one of these tasks, or add yours to dataset_info.json"});
}

// The files of one entry, checked once.
class Dataset::Source {
 public:
  Source(const Dataset& dataset, const std::string& name)
      : folder_(dataset.dataset_dir_), entry_(dataset.find_entry(name)) {
    check_name(entry_);
    const Layout& layout = find_layout(entry_.formatting, entry_.origin);
    check_entry(entry_, layout);
    read_ = layout.read;
    request_ = {.path = {}, .columns = layout.columns, .instruction = entry_.instruction};
    for (const auto& [column, field] : entry_.columns) {
      request_.columns[column] = field;
    }
  }

  const DatasetEntry& entry() const { return entry_; }

  TaskData read_splits(bool with_eval) {
    TaskData task;
    task.name = entry_.name;
    task.metric = entry_.metric;
    task.labels = entry_.labels;
    if (!entry_.file_name.empty()) {
      split_rows(entry_, read_file(entry_.file_name, Split::kTrain), task);
    } else {
      task.train = read_file(entry_.train_file, Split::kTrain);
      if (with_eval && !entry_.eval_file.empty()) {
        task.eval = read_file(entry_.eval_file, Split::kEval);
      }
    }
    return task;
  }

  std::vector<Example> read_eval() {
    if (!entry_.file_name.empty()) {
      return read_splits(true).eval;
    }
    return entry_.eval_file.empty() ? std::vector<Example>()
                                    : read_file(entry_.eval_file, Split::kEval);
  }

 private:
  std::vector<Example> read_file(const std::string& file, Split split) {
    request_.path = folder_ / file;
    std::vector<Example> examples = read_(request_);
    check_rows(examples, split);
    leave_out_long_rows(entry_, request_.path.string(), examples);
    return examples;
  }

  const std::filesystem::path& folder_;
  const DatasetEntry& entry_;
  std::vector<Example> (*read_)(const ReadRequest& request) = nullptr;
  ReadRequest request_;
};

TaskData Dataset::read_task(const std::string& name, const ReadLimits& limits) const {
  Source source(*this, name);
  if (!source.entry().note.empty()) {
    base::log_warning(kArea, fmt::format("task {}: {}", name, source.entry().note));
  }
  TaskData task = source.read_splits(true);
  limit_rows(task.train, limits.max_train_samples);
  limit_rows(task.eval, limits.max_eval_samples);
  find_leaks(task);
  return task;
}

std::vector<Example> Dataset::read_train(const std::string& name,
                                         std::int64_t max_train_samples) const {
  std::vector<Example> rows = Source(*this, name).read_splits(false).train;
  limit_rows(rows, max_train_samples);
  return rows;
}

std::vector<Example> Dataset::read_eval(const std::string& name,
                                        std::int64_t max_eval_samples) const {
  Source source(*this, name);
  std::vector<Example> rows = source.read_eval();
  if (rows.empty()) {
    refuse_row(source.entry().origin, "this task has no eval rows", "\"eval_file\"", "none",
               "name a file of eval rows");
  }
  limit_rows(rows, max_eval_samples);
  return rows;
}

}  // namespace baton::data
