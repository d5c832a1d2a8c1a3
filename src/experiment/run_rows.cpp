#include "baton/experiment/run_rows.hpp"

#include <filesystem>

#include "baton/base/error.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/comm/share.hpp"
#include "baton/data/dataset.hpp"
#include "baton/run/run_paths.hpp"

namespace baton::experiment {

namespace {

[[noreturn]] void refuse_changed(const std::string& where,
                                 const std::string& expected,
                                 const std::string& found) {
  throw base::Error(
      base::ErrorKind::kData, "rows changed since this run began",
      {.where = where,
       .expected = "rows " + expected.substr(0, 12),
       .found = "rows " + found.substr(0, 12),
       .fix = "leave task files and buffers alone while a run goes on; start it again "
              "to see what differs"});
}

std::vector<data::Example> read_own(const config::Config& config, const TaskFacts& task) {
  std::vector<data::Example> rows =
      data::Dataset(config.data.dataset_dir).read_train(task.name, config.data.max_train_samples);
  if (const std::string found = data::rows_fingerprint(rows); found != task.rows_fingerprint) {
    refuse_changed("task " + task.name, task.rows_fingerprint, found);
  }
  return rows;
}

data::RehearsalBuffer read_earlier(const config::Config& config,
                                   const TaskFacts& task,
                                   std::size_t index) {
  const run::RunPaths paths(config.output.output_dir, config.data.tasks);
  const std::filesystem::path path = paths.path_of(paths.buffer_file(index));
  data::RehearsalBuffer buffer = checkpoint::load_buffer(path);
  if (const std::string found = buffer.fingerprint(); found != task.buffer_fingerprint) {
    refuse_changed(path.string(), task.buffer_fingerprint, found);
  }
  return buffer;
}

// List by list, so that the packed form of all is never held at once.
template <typename Get>
ExpertRows gather(const config::Config& config,
                  const RunFacts& facts,
                  const method::LearnerPlan& learner,
                  const Get& get) {
  ExpertRows rows;
  rows.plan = learner;
  rows.task = facts.tasks[learner.position].name;
  for (const std::size_t index : learner.own_tasks) {
    const TaskFacts& task = facts.tasks[index];
    rows.own.push_back({task.name, get([&] { return read_own(config, task); })});
  }
  for (const std::size_t index : learner.buffers) {
    rows.earlier.push_back(get([&] { return read_earlier(config, facts.tasks[index], index); }));
  }
  return rows;
}

}  // namespace

ExpertRows read_expert_rows(const config::Config& config,
                            const RunFacts& facts,
                            const method::LearnerPlan& learner) {
  return gather(config, facts, learner, [](const auto& read) { return read(); });
}

ExpertRows share_expert_rows(const config::Config& config,
                             const RunFacts& facts,
                             const method::LearnerPlan& learner,
                             comm::Communicator& group) {
  return gather(config, facts, learner,
                [&group](const auto& read) { return comm::from_leader(group, read); });
}

}  // namespace baton::experiment
