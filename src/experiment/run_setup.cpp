#include "baton/experiment/run_setup.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/coordinator/memory_estimate.hpp"
#include "baton/data/dataset.hpp"
#include "baton/method/see_rows.hpp"
#include "baton/run/stale_files.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::experiment {

namespace {

// Where a task's files lie; the folder object only exists on rank 0.
std::filesystem::path place(const config::Config& config, const char* kind, std::size_t index) {
  return std::filesystem::path(config.output.output_dir) / kind /
         (run::task_file_stem(index, config.data.tasks[index]) + ".h5");
}

data::RehearsalBuffer load_or_make_buffer(const config::Config& config,
                                          run::RunFolder& folder,
                                          std::size_t index,
                                          const std::optional<std::vector<data::Example>>& train) {
  const std::filesystem::path path = place(config, "buffers", index);
  const std::string& task = config.data.tasks[index];
  if (!std::filesystem::exists(path)) {
    BATON_ASSERT(train.has_value(), task);
    const data::RehearsalBuffer made =
        method::make_buffer(task, *train, config.method.buffer_ratio, config.train.seed);
    checkpoint::save_buffer(path, made);
    folder.record_file(folder.buffer_file(task), task, made.fingerprint(), run::made_here());
    return made;
  }
  if (!folder.verify(folder.buffer_file(task))) {
    const data::RehearsalBuffer found = checkpoint::load_buffer(path);
    folder.record_file(folder.buffer_file(task), task, found.fingerprint(), run::made_here());
    return found;
  }
  return checkpoint::load_buffer(path);
}

// A buffer left by other rows or settings must not become an expert's negatives unseen.
void check_buffer(const config::Config& config,
                  std::size_t index,
                  const data::RehearsalBuffer& buffer,
                  const std::vector<data::Example>& train) {
  const data::RehearsalBuffer expected = method::make_buffer(
      config.data.tasks[index], train, config.method.buffer_ratio, config.train.seed);
  if (expected.fingerprint() != buffer.fingerprint()) {
    throw base::Error(
        base::ErrorKind::kUsage,
        "a rehearsal buffer of this run was made from other rows or settings",
        {.where = place(config, "buffers", index).string(),
         .expected = fmt::format("buffer {} (buffer_ratio {}, {} rows of the task, seed {})",
                                 expected.fingerprint().substr(0, 12), expected.ratio,
                                 expected.num_task_rows, expected.seed),
         .found = fmt::format("buffer {} (buffer_ratio {}, {} rows of the task, seed {})",
                              buffer.fingerprint().substr(0, 12), buffer.ratio,
                              buffer.num_task_rows, buffer.seed),
         .fix = "use the rows and settings of this run, or another output.output_dir"});
  }
}

bool finished_before(const config::Config& config, std::size_t index) {
  return std::filesystem::exists(place(config, "buffers", index)) &&
         std::filesystem::exists(place(config, "experts", index));
}

}  // namespace

OpenRun open_run(const config::Config& config) {
  const std::filesystem::path root = config.output.output_dir;
  base::make_directories(root);
  run::RunLock lock(root);
  for (const std::filesystem::path& path : run::remove_stale_temporaries(root)) {
    base::log_info("train",
                   fmt::format("removed what an interrupted writer left: {}", path.string()));
  }
  if (!run::RunFolder::exists(root)) {
    run::RunRecord record;
    record.config = config::resolved(config);
    record.tasks = config.data.tasks;
    return {std::move(lock), run::RunFolder::create(root, std::move(record))};
  }
  run::RunFolder folder = run::RunFolder::load(root);
  folder.extend_tasks(config.data.tasks);
  return {std::move(lock), std::move(folder)};
}

namespace {

std::optional<std::vector<data::Example>> read_train_rows(const config::Config& config,
                                                          const data::Dataset& dataset,
                                                          std::size_t index) {
  const std::string& task = config.data.tasks[index];
  try {
    return dataset
        .read_task(task, {.max_train_samples = config.data.max_train_samples,
                          .max_eval_samples = config.data.max_eval_samples})
        .train;
  } catch (const base::Error& error) {
    if (!finished_before(config, index)) {
      throw;
    }
    base::log_warning("data", fmt::format("the training rows of {} cannot be read; its finished "
                                          "expert and buffer are used as they are ({})",
                                          task, error.summary()));
    return std::nullopt;
  }
}

}  // namespace

RunFacts load_run_facts(const config::Config& config,
                        run::RunFolder& folder,
                        const RowMeter& meter) {
  const data::Dataset dataset(config.data.dataset_dir);
  RunFacts facts;
  facts.general = read_general_rows(config);
  if (!facts.general.empty()) {
    facts.general_fingerprint = data::rows_fingerprint(facts.general);
    facts.general_sums = meter.general(facts.general);
  }
  for (std::size_t index = 0; index < config.data.tasks.size(); ++index) {
    if (work::stop_requested()) {
      throw base::Error(base::ErrorKind::kStopped, "asked to stop while the tasks were read",
                        {.fix = "run the same command again"});
    }
    TaskFacts task;
    task.name = config.data.tasks[index];
    const std::optional<std::vector<data::Example>> train = read_train_rows(config, dataset, index);
    const data::RehearsalBuffer buffer = load_or_make_buffer(config, folder, index, train);
    if (train) {
      check_buffer(config, index, buffer, *train);
      task.rows_fingerprint = data::rows_fingerprint(*train);
      task.own = meter.positives(task.name, *train);
    }
    task.buffer_fingerprint = buffer.fingerprint();
    task.negatives = meter.negatives(buffer);
    facts.tasks.push_back(std::move(task));
  }
  return facts;
}

std::vector<std::size_t> find_missing_experts(run::RunFolder& folder,
                                              const IdentityOf& identity_of) {
  std::vector<std::size_t> missing;
  for (std::size_t index = 0; index < folder.record().tasks.size(); ++index) {
    const std::string& task = folder.record().tasks[index];
    const std::string file = folder.expert_file(task);
    const std::filesystem::path path = folder.expert_path(task);
    const run::FileCondition condition = folder.condition_of(file);
    if (condition == run::FileCondition::kAbsent || condition == run::FileCondition::kMissing) {
      missing.push_back(index);
      if (condition == run::FileCondition::kMissing) {
        base::log_warning(
            "train",
            fmt::format("the expert {} is in run.json but not on disk; it is trained again", task));
      }
      continue;
    }
    if (condition == run::FileCondition::kDamaged) {
      folder.verify(file);  // throws, with both sums
    }
    const expert::ExpertState found = checkpoint::load_expert(path);
    expert::Identity expected = identity_of(index);
    if (!expected.facts().contains("task_rows") && found.identity.facts().contains("task_rows")) {
      expected.set("task_rows", found.identity.facts().at("task_rows"));
    }
    const std::vector<std::string> differences =
        expert::describe_differences(expected, found.identity);
    if (!differences.empty()) {
      throw base::Error(base::ErrorKind::kUsage,
                        fmt::format("the expert {} in this run folder was trained with other "
                                    "settings than the config asks for",
                                    task),
                        {.where = path.string(),
                         .expected = "the same base, rows, buffers and settings",
                         .found = "\n    " + base::join(differences, "\n    "),
                         .fix = fmt::format("use the settings of the run, another "
                                            "output.output_dir, or `baton train --replace {}`",
                                            task)});
    }
    if (condition == run::FileCondition::kUnrecorded) {
      folder.record_file(file, task, found.identity.fingerprint(), run::made_here());
    }
  }
  return missing;
}

void check_saved_states(const config::Config& config,
                        const run::RunFolder& folder,
                        const IdentityOf& identity_of,
                        const std::vector<std::size_t>& missing) {
  for (const std::size_t index : missing) {
    const std::string& task = config.data.tasks[index];
    const auto saved =
        checkpoint::peek_newest_generation(folder.path_of(folder.checkpoint_folder(task)));
    if (!saved) {
      continue;
    }
    const std::vector<std::string> differences =
        expert::describe_differences(identity_of(index), saved->identity);
    if (differences.empty()) {
      continue;
    }
    throw base::Error(
        base::ErrorKind::kUsage,
        fmt::format(
            "the saved training state of {} was begun with other settings than the config asks for",
            task),
        {.where = saved->path.string(),
         .expected = "the same base, rows, buffers and settings",
         .found = "\n    " + base::join(differences, "\n    "),
         .fix = fmt::format(
             "use the settings of the run (only the sections cluster, eval and output and the keys "
             "train.logging_steps, train.save_steps and train.save_seconds may change on the way), "
             "another "
             "output.output_dir, or `baton train --replace {}` to begin this expert anew",
             task)});
  }
}

void fill_plan_request(const config::Config& config, coordinator::PlanRequest& request) {
  const auto to_int = [](const std::optional<std::int64_t>& value) {
    return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
  };
  request.groups = to_int(config.cluster.groups);
  request.ranks_per_group = to_int(config.cluster.ranks_per_group);
  request.has_dedicated_coordinator = config.cluster.coordinator == "dedicated";
  request.is_deterministic = config.cluster.deterministic;
  request.train_batch_size = config.train.train_batch_size;
}

std::int64_t lora_parameters_of(const config::Config& config, const weights::LlamaConfig& base) {
  const coordinator::ModelSizes sizes{
      base.vocab_size,        base.hidden_size,         base.intermediate_size,
      base.num_hidden_layers, base.num_attention_heads, base.num_key_value_heads,
      base.head_dim,          base.num_parameters()};
  return static_cast<std::int64_t>(coordinator::lora_parameters(
      sizes, static_cast<int>(config.lora.lora_rank), config.lora.lora_target));
}

}  // namespace baton::experiment
