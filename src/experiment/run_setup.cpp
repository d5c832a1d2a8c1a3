#include "baton/experiment/run_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/file.hpp"
#include "baton/base/log.hpp"
#include "baton/checkpoint/generation.hpp"
#include "baton/coordinator/memory_estimate.hpp"
#include "baton/run/stale_files.hpp"

namespace baton::experiment {

namespace {

// "" where another type is asked for and nothing is trained yet: it may still be had.
std::string dtype_it_began_in(const run::RunFolder& folder, const std::string& asked) {
  const auto stored = folder.record().config.find("model.dtype");
  if (stored == folder.record().config.end() || stored->second == "auto") {
    return "";
  }
  const auto is_begun = [&folder](const std::string& task) {
    return std::filesystem::exists(folder.expert_path(task)) ||
           checkpoint::peek_newest_generation(folder.path_of(folder.checkpoint_folder(task)));
  };
  const std::vector<std::string>& tasks = folder.record().tasks;
  const bool may_change = asked != "auto" && std::none_of(tasks.begin(), tasks.end(), is_begun);
  return may_change ? "" : stored->second;
}

}  // namespace

OpenRun open_run(config::Config& config, const std::vector<RankFacts>& ranks) {
  const std::filesystem::path root = config.output.output_dir;
  base::make_directories(root);
  run::RunLock lock(root);
  for (const std::filesystem::path& path : run::remove_stale_temporaries(root)) {
    base::log_info("train",
                   fmt::format("removed what an interrupted writer left: {}", path.string()));
  }
  if (!run::RunFolder::exists(root)) {
    DtypeChoice dtype = choose_dtype(config.model.dtype, "", ranks);
    config.model.dtype = dtype.dtype;
    run::RunRecord record;
    record.config = config::resolved(config);
    record.tasks = config.data.tasks;
    return {std::move(lock), run::RunFolder::create(root, std::move(record)), std::move(dtype)};
  }
  run::RunFolder folder = run::RunFolder::load(root);
  folder.finish_replacements();
  folder.extend_tasks(config.data.tasks);
  DtypeChoice dtype =
      choose_dtype(config.model.dtype, dtype_it_began_in(folder, config.model.dtype), ranks);
  config.model.dtype = dtype.dtype;
  return {std::move(lock), std::move(folder), std::move(dtype)};
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

int max_useful_ranks(const config::Config& config) {
  const std::int64_t micro = config.train.micro_batch_size;
  return static_cast<int>((config.train.train_batch_size + micro - 1) / micro);
}

coordinator::ExpertCost cost_of(const config::Config& config,
                                const RunFacts& facts,
                                const method::LearnerPlan& learner,
                                const method::Method& method) {
  coordinator::ExpertCost cost;
  cost.name = facts.tasks[learner.position].name;
  cost.token_steps = static_cast<double>(facts.sums_of(learner).num_tokens) *
                     config.train.num_train_epochs * facts.cost_factor_of(learner, method);
  cost.max_useful_ranks = max_useful_ranks(config);
  return cost;
}

std::vector<int> items_before(const method::LearnerPlan& learner,
                              const std::vector<std::size_t>& missing) {
  std::vector<std::size_t> needed = learner.beside;
  if (learner.begins_from) {
    needed.push_back(*learner.begins_from);
  }
  std::vector<int> items;
  for (std::size_t item = 0; item < missing.size(); ++item) {
    if (std::find(needed.begin(), needed.end(), missing[item]) != needed.end()) {
      items.push_back(static_cast<int>(item));
    }
  }
  return items;
}

std::int64_t lora_parameters_of(const config::Config& config, const weights::DecoderConfig& base) {
  return static_cast<std::int64_t>(coordinator::lora_parameters(
      base, static_cast<int>(config.lora.lora_rank), config.lora.lora_target));
}

}  // namespace baton::experiment
