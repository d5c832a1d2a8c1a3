#include "baton/experiment/run_start.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/base/utf8.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/data/dataset.hpp"
#include "baton/eval/task_scorer.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::experiment {

namespace {

constexpr const char* kAll = "all";

std::string text_of(const data::RehearsalBuffer& buffer) {
  return fmt::format("buffer {} (buffer_ratio {}, {} rows of the task, seed {})",
                     buffer.fingerprint().substr(0, 12), buffer.ratio, buffer.num_task_rows,
                     buffer.seed);
}

}  // namespace

RunStart::RunStart(const config::Config& config,
                   const method::Method& method,
                   run::RunFolder& folder,
                   const std::vector<std::string>& replace)
    : config_(config),
      method_(method),
      learners_(method.learners(config.data.tasks.size())),
      folder_(folder),
      tasks_(config.data.tasks.size()) {
  for (const std::string& name : replace) {
    if (name == kAll) {
      for (Task& task : tasks_) {
        task.is_wished = true;
      }
    } else {
      tasks_[folder_.paths().position_of(name)].is_wished = true;
    }
  }
}

// ---- rows and buffers

RunFacts RunStart::read_rows(const RowMeter& meter) {
  for (const std::string& doubt : method_.doubts()) {
    warn("config", doubt);
  }
  data::NearDuplicateFinder twins;
  RunFacts facts;
  facts.general = read_general_rows(config_, method_);
  if (!facts.general.empty()) {
    facts.general_fingerprint = data::rows_fingerprint(facts.general);
    facts.general_sums = meter.general(facts.general);
  }
  for (std::size_t index = 0; index < tasks_.size(); ++index) {
    if (work::stop_requested()) {
      throw base::Error(base::ErrorKind::kStopped, "asked to stop while the tasks were read",
                        {.fix = "run the same command again"});
    }
    facts.tasks.push_back(read_task(index, meter, twins));
  }
  return facts;
}

TaskFacts RunStart::read_task(std::size_t index,
                              const RowMeter& meter,
                              data::NearDuplicateFinder& twins) {
  TaskFacts facts;
  facts.name = name_of(index);
  const TrainRows train = read_train_rows(index);
  if (train) {
    facts.rows_fingerprint = data::rows_fingerprint(*train);
    facts.num_rows = meter.num_learnt(static_cast<std::int64_t>(train->size()));
    facts.own = meter.own(facts.name, *train);
    warn_of_twins(twins.add(facts.name, *train));
  }
  if (const std::optional<data::RehearsalBuffer> buffer = choose_buffer(index, train)) {
    facts.buffer_fingerprint = buffer->fingerprint();
    facts.rehearsed = meter.rehearsed(*buffer);
  }
  return facts;
}

// Said once in the life of a run.
void RunStart::warn(const std::string& area, const std::string& text) {
  std::vector<std::string>& noted = folder_.record().warnings;
  const std::string valid = base::to_valid_utf8(text);
  if (std::find(noted.begin(), noted.end(), valid) == noted.end()) {
    base::log_warning(area, text);
    noted.push_back(valid);
  }
}

void RunStart::warn_of_twins(const std::vector<data::NearDuplicates>& found) {
  for (const data::NearDuplicates& pair : found) {
    warn("data", fmt::format("{} of {} train rows of {} are nearly rows of {} (the first: {}): to "
                             "one expert such a row is its own, to the other foreign",
                             pair.num_rows, pair.num_task_rows, pair.task, pair.other, pair.first));
  }
}

RunStart::TrainRows RunStart::read_train_rows(std::size_t index) {
  try {
    data::TaskData task =
        data::Dataset(config_.data.dataset_dir)
            .read_task(name_of(index), {.max_train_samples = config_.data.max_train_samples,
                                        .max_eval_samples = config_.data.max_eval_samples});
    eval::scorer_of(task, config_.eval.metric);  // whether it fits: now, not after the training
    if (task.eval.empty()) {
      warn("data", fmt::format("task {} has no eval rows: it can be trained and asked, but `baton "
                               "eval` refuses this run (give its entry an \"eval_file\")",
                               task.name));
    }
    return std::move(task.train);
  } catch (const base::Error& error) {
    if (tasks_[index].is_wished || !is_finished(index)) {
      throw;
    }
    base::log_warning("data", fmt::format("the training rows of {} cannot be read; its finished "
                                          "expert and buffer are used as they are ({})",
                                          name_of(index), error.summary()));
    return std::nullopt;
  }
}

// Whoever learns from its rows is done, and what later learners rehearse of it is there.
bool RunStart::is_finished(std::size_t index) const {
  const auto contains = [index](const std::vector<std::size_t>& tasks) {
    return std::find(tasks.begin(), tasks.end(), index) != tasks.end();
  };
  const bool has_buffer = folder_.has(folder_.paths().buffer_file(index));
  return std::all_of(learners_.begin(), learners_.end(), [&](const method::LearnerPlan& learner) {
    const bool is_done = folder_.has(folder_.paths().expert_file(learner.position));
    return (is_done || !contains(learner.own_tasks)) && (has_buffer || !contains(learner.buffers));
  });
}

data::RehearsalBuffer RunStart::load_buffer(std::size_t index) const {
  const std::string file = folder_.paths().buffer_file(index);
  folder_.verify(file);
  return checkpoint::load_buffer(folder_.path_of(file), name_of(index));
}

// The run's buffer where it is the one that rows and settings give. One left by others must not
// become an expert's negatives unseen.
std::optional<data::RehearsalBuffer> RunStart::choose_buffer(std::size_t index,
                                                             const TrainRows& train) {
  if (!train) {
    return folder_.has(folder_.paths().buffer_file(index)) ? std::optional(load_buffer(index))
                                                           : std::nullopt;
  }
  std::optional<data::RehearsalBuffer> made =
      tasks_[index].chosen_buffer ? std::exchange(tasks_[index].chosen_buffer, std::nullopt)
                                  : method_.make_buffer({name_of(index), *train});
  return made ? std::optional(keep_or_replace(index, std::move(*made))) : std::nullopt;
}

std::vector<data::Example> RunStart::rows_to_choose_from(std::size_t index,
                                                         const std::string& settings) {
  std::vector<data::Example> rows;
  try {
    rows = data::Dataset(config_.data.dataset_dir)
               .read_train(name_of(index), config_.data.max_train_samples);
  } catch (const base::Error&) {
    return {};  // read_rows() will say so, where it matters
  }
  if (!method_.chooses_by_features(rows.size())) {
    return {};
  }
  const std::string origin = base::Sha256()
                                 .add_field("rows and settings of a buffer")
                                 .add_field(data::rows_fingerprint(rows))
                                 .add_field(settings)
                                 .hex();
  if (folder_.has(folder_.paths().buffer_file(index)) && !tasks_[index].is_wished) {
    data::RehearsalBuffer stored = load_buffer(index);
    if (stored.chosen_from == origin) {
      tasks_[index].chosen_buffer = std::move(stored);
      return {};
    }
  }
  to_choose_from_ = {std::move(rows), origin};
  return to_choose_from_.rows;
}

void RunStart::choose_buffer_by(std::span<const std::vector<double>> features, std::size_t index) {
  tasks_[index].chosen_buffer =
      method_.make_buffer({name_of(index), to_choose_from_.rows, features});
  tasks_[index].chosen_buffer->chosen_from = to_choose_from_.origin;
  to_choose_from_ = {};
}

data::RehearsalBuffer RunStart::keep_or_replace(std::size_t index, data::RehearsalBuffer made) {
  Task& task = tasks_[index];
  if (!folder_.has(folder_.paths().buffer_file(index))) {
    task.new_buffer = made;
    return made;
  }
  std::string found;
  try {
    data::RehearsalBuffer stored = load_buffer(index);
    if (stored.fingerprint() == made.fingerprint()) {
      return stored;
    }
    found = text_of(stored);
  } catch (const base::Error& error) {
    if (!task.is_wished || error.kind() != base::ErrorKind::kModel) {
      throw;
    }
  }
  if (!task.is_wished) {
    throw base::Error(
        base::ErrorKind::kUsage,
        "a rehearsal buffer of this run was made from other rows or settings",
        {.where = folder_.path_of(folder_.paths().buffer_file(index)).string(),
         .expected = text_of(made),
         .found = found,
         .fix = "use the rows and settings of this run, another output.output_dir, or `baton train "
                "--replace all`: every later expert was trained with rows of this buffer"});
  }
  task.replaces_buffer = true;
  task.new_buffer = made;
  return made;
}

// ---- experts

std::vector<std::size_t> RunStart::find_missing(const IdentityOf& identity_of) {
  std::vector<std::size_t> missing;
  for (const method::LearnerPlan& learner : learners_) {
    const std::size_t index = learner.position;
    const expert::Identity identity = identity_of(index);
    tasks_[index].asked = identity.fingerprint();
    if (is_missing(index, identity)) {
      missing.push_back(index);
    } else {
      tasks_[index].drops_state = true;  // left by who died between the expert and its clearing up
    }
  }
  if (!differences_.empty()) {
    refuse();
  }
  return missing;
}

bool RunStart::is_missing(std::size_t index, const expert::Identity& identity) {
  Task& task = tasks_[index];
  const std::string file = folder_.paths().expert_file(index);
  const run::FileCondition condition = folder_.condition_of(file);
  if (task.is_wished && !is_wish_done(index, condition)) {
    task.replaces_expert = true;
    return true;
  }
  if (condition == run::FileCondition::kAbsent || condition == run::FileCondition::kMissing) {
    if (condition == run::FileCondition::kMissing) {
      base::log_warning("train", fmt::format("the expert {} is in run.json but not on disk; it is "
                                             "trained again",
                                             name_of(index)));
    }
    check_state(index, identity);
    return true;
  }
  if (condition == run::FileCondition::kDamaged) {
    folder_.verify(file);  // throws, with both sums
  }
  check_expert(index, identity, condition == run::FileCondition::kOk);
  if (task.is_wished) {
    base::log_info("train",
                   fmt::format("{}: replaced as asked at {}; move {} away to train it once more",
                               name_of(index), folder_.replacement_of(name_of(index))->time, file));
  }
  return false;
}

// The same command again, after a stop or at its end: its wish is in run.json. A damaged file, or
// one of another identity that came there later, is a new wish.
bool RunStart::is_wish_done(std::size_t index, run::FileCondition condition) const {
  const run::Replacement* newest = folder_.replacement_of(name_of(index));
  if (newest == nullptr || newest->asked != tasks_[index].asked) {
    return false;
  }
  if (condition == run::FileCondition::kAbsent || condition == run::FileCondition::kMissing) {
    return true;
  }
  return condition != run::FileCondition::kDamaged &&
         checkpoint::load_expert(folder_.expert_path(name_of(index)), {.task = name_of(index)})
                 .identity.fingerprint() == tasks_[index].asked;
}

void RunStart::check_expert(std::size_t index, const expert::Identity& identity, bool is_recorded) {
  const expert::Identity found =
      checkpoint::load_expert(folder_.expert_path(name_of(index)), {.task = name_of(index)})
          .identity;
  expert::Identity expected = identity;
  if (!expected.facts().contains("task_rows") && found.facts().contains("task_rows")) {
    expected.set("task_rows", found.facts().at("task_rows"));
  }
  std::vector<std::string> lines = expert::describe_differences(expected, found);
  if (!lines.empty()) {
    differences_.push_back({index, "expert", std::move(lines)});
  } else if (!is_recorded) {
    tasks_[index].unrecorded_expert = found.fingerprint();
  }
}

void RunStart::check_state(std::size_t index, const expert::Identity& identity) {
  const auto saved =
      checkpoint::peek_newest_generation(folder_.path_of(folder_.paths().checkpoint_folder(index)));
  if (!saved) {
    return;
  }
  std::vector<std::string> lines = expert::describe_differences(identity, saved->identity);
  if (!lines.empty() && tasks_[index].is_wished) {
    tasks_[index].drops_state = true;
  } else if (!lines.empty()) {
    differences_.push_back({index, "saved training state", std::move(lines)});
  }
}

// The tasks to name so that nothing differs any more.
std::string RunStart::replace_flags() const {
  std::vector<bool> named;
  for (const Task& task : tasks_) {
    named.push_back(task.is_wished);
  }
  for (const Difference& difference : differences_) {
    named[difference.index] = true;
  }
  constexpr std::ptrdiff_t kMaxNamed = 4;
  const auto count = std::count(named.begin(), named.end(), true);
  if (count == static_cast<std::ptrdiff_t>(named.size()) || count > kMaxNamed) {
    return std::string("--replace ") + kAll;
  }
  std::vector<std::string> flags;
  for (std::size_t index = 0; index < named.size(); ++index) {
    if (named[index]) {
      flags.push_back("--replace " + name_of(index));
    }
  }
  return base::join(flags, " ");
}

void RunStart::refuse() const {
  std::map<std::string, std::vector<std::string>> tasks_by_lines;  // tasks that differ alike
  for (const Difference& difference : differences_) {
    tasks_by_lines["\n        " + base::join(difference.lines, "\n        ")].push_back(
        name_of(difference.index) + " (" + difference.what + ")");
  }
  std::string found;
  for (const auto& [lines, names] : tasks_by_lines) {
    found += "\n    " + base::join(names, ", ") + lines;
  }
  throw base::Error(
      base::ErrorKind::kUsage,
      "what is in this run folder was trained with other settings than the config asks for",
      {.where = folder_.root().string(),
       .expected = "the same base, rows, buffers and settings",
       .found = found,
       .fix = fmt::format(
           "use the settings of the run (only the sections cluster, eval and output and the keys "
           "train.logging_steps, train.save_steps and train.save_seconds, and train.eval_steps "
           "without early stopping, may change on the way), "
           "another output.output_dir, or `baton train {}`: it keeps the old experts in "
           "experts/replaced and trains new ones; nothing was changed so far",
           replace_flags())});
}

// ---- and only now the folder changes

void RunStart::carry_out(const RunFacts& facts) {
  const run::RunPaths& paths = folder_.paths();
  folder_.record().config = config::resolved(config_);
  for (std::size_t index = 0; index < tasks_.size(); ++index) {
    std::vector<std::string> files;
    if (tasks_[index].replaces_expert) {
      files.push_back(paths.expert_file(index));
    }
    if (tasks_[index].replaces_buffer) {
      files.push_back(paths.buffer_file(index));
    }
    if (tasks_[index].replaces_expert || tasks_[index].replaces_buffer) {
      folder_.note_replacement(name_of(index), tasks_[index].asked, files);
      for (const run::ReplacedFile& file : folder_.record().replaced.back().files) {
        base::log_info("train",
                       fmt::format("{}: {} is kept as {}", name_of(index), file.from, file.to));
      }
    }
  }
  folder_.save();
  folder_.finish_replacements();
  for (std::size_t index = 0; index < tasks_.size(); ++index) {
    Task& task = tasks_[index];
    const std::string buffer = paths.buffer_file(index);
    if (task.drops_state) {
      checkpoint::remove_generations(folder_.path_of(paths.checkpoint_folder(index)));
    }
    if (task.new_buffer) {
      checkpoint::save_buffer(folder_.path_of(buffer), *task.new_buffer);
    }
    const bool has_buffer = !facts.tasks[index].buffer_fingerprint.empty();
    if (has_buffer && (task.new_buffer || !folder_.record().files.contains(buffer))) {
      folder_.note_file(buffer, name_of(index), facts.tasks[index].buffer_fingerprint,
                        run::made_here());
    }
    task.new_buffer.reset();  // from here on it is read where it is needed
    if (!task.unrecorded_expert.empty()) {
      folder_.note_file(paths.expert_file(index), name_of(index), task.unrecorded_expert,
                        run::made_by_unknown());
    }
  }
  folder_.save();
}

}  // namespace baton::experiment
