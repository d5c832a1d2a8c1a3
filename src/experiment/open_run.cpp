#include "baton/experiment/open_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/config/options.hpp"
#include "baton/experiment/identity.hpp"
#include "baton/run/thresholds_file.hpp"

namespace baton::experiment {

namespace {

// A key that is missing gets its default, as one that this version knew first; not those without
// which no run can have begun.
void require_keys(const std::map<std::string, std::string>& values, const std::string& origin) {
  std::vector<std::string> missing;
  for (const config::OptionInfo& info : config::option_list()) {
    const auto found = values.find(info.key());
    if (info.is_required && (found == values.end() || found->second.empty())) {
      missing.push_back(info.key());
    }
  }
  if (!missing.empty()) {
    throw base::Error(base::ErrorKind::kModel, "the config in run.json is not whole",
                      {.where = origin + ", config",
                       .expected = "every key that a run needs",
                       .found = "no " + base::join(missing, ", "),
                       .fix = "restore run.json from a copy, or run `baton train` with the run's "
                              "config again"});
  }
}

}  // namespace

config::Config config_of_run(const run::RunFolder& folder,
                             const std::vector<config::Override>& overrides,
                             config::Purpose purpose) {
  const std::string origin = (folder.root() / "run.json").string();
  require_keys(folder.record().config, origin);
  const config::Config stored = config::config_from_resolved(folder.record().config, origin);
  if (stored.data.tasks != folder.record().tasks) {
    throw base::Error(base::ErrorKind::kModel, "run.json contradicts itself",
                      {.where = origin + ", data.tasks of its config",
                       .expected = "its tasks: " + base::join(folder.record().tasks, ", "),
                       .found = base::join(stored.data.tasks, ", "),
                       .fix = "restore run.json from a copy, or run `baton train` with the run's "
                              "config again"});
  }
  return config::with_overrides(stored, overrides, purpose);
}

std::vector<method::LearnerPlan> finished_learners(const run::RunFolder& folder,
                                                   const method::Method& method) {
  std::vector<method::LearnerPlan> learners = method.learners(folder.record().tasks.size());
  std::vector<std::string> missing;
  for (const method::LearnerPlan& learner : learners) {
    if (!folder.has(folder.paths().expert_file(learner.position))) {
      missing.push_back(folder.record().tasks[learner.position]);
    }
  }
  if (!missing.empty()) {
    throw base::Error(base::ErrorKind::kUsage, "this run is not finished: experts are missing",
                      {.where = folder.root().string(),
                       .expected = fmt::format("{} experts", learners.size()),
                       .found = "missing: " + base::join(missing, ", "),
                       .fix = "run `baton train` with the run's config first"});
  }
  return learners;
}

std::vector<double> thresholds_in_use(const run::RunFolder& folder,
                                      std::span<const expert::ExpertState> states,
                                      std::span<const std::string> digests) {
  const std::optional<run::Thresholds> set = run::load_thresholds(folder);
  std::vector<double> thresholds;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const expert::ExpertState& state = states[i];
    thresholds.push_back(state.accept_threshold);
    if (!set) {
      continue;
    }
    const auto found = set->by_task.find(state.task);
    if (found != set->by_task.end() && found->second.expert_sha256 == digests[i]) {
      thresholds.back() = found->second.threshold;
    } else {
      base::log_warning("run", fmt::format("{} was trained after the thresholds were set: its own "
                                           "counts (`baton calibrate` sets all anew)",
                                           state.task));
    }
  }
  if (set) {
    base::log_info("run", "thresholds as set for the target " + set->target);
  }
  return thresholds;
}

LoadedExperts load_experts(const run::RunFolder& folder,
                           const config::Config& config,
                           const method::Method& method,
                           const Workspace& workspace) {
  const std::vector<method::LearnerPlan> learners = finished_learners(folder, method);
  LoadedExperts experts;
  const expert::Identity now = common_identity(config, workspace);
  const std::int64_t num_layers = workspace.model->config().num_hidden_layers;
  for (const method::LearnerPlan& learner : learners) {
    const std::string& task = folder.record().tasks[learner.position];
    const std::filesystem::path path = folder.expert_path(task);
    if (!folder.verify(folder.expert_file(task))) {
      base::log_warning("run",
                        path.string() + " is not recorded in run.json; its own checksums decide");
    }
    // Another base is told from a damaged expert, so it comes first.
    expert::ExpertState state = checkpoint::load_expert(path, {.task = task});
    check_common_identity(state, now, path);
    expert::check_expert(state, path.string(),
                         {.base = weights::base_sizes_of(workspace.model->config())});
    experts.adapters.push_back(
        model::adapter_from_state(state, num_layers, workspace.model->device()));
    state.arrays.clear();
    experts.states.push_back(std::move(state));
    experts.digests.push_back(base::sha256_file(path));
  }
  const std::vector<double> thresholds = thresholds_in_use(folder, experts.states, experts.digests);
  for (std::size_t i = 0; i < experts.states.size(); ++i) {
    const expert::ExpertState& state = experts.states[i];
    model::AdapterUses uses;
    for (std::size_t other = 0; other < i; ++other) {
      const std::vector<std::size_t>& beside = learners[i].beside;
      if (std::find(beside.begin(), beside.end(), learners[other].position) != beside.end()) {
        uses.uses.push_back({.adapter = &experts.adapters[other]});
      }
    }
    uses.uses.push_back({.adapter = &experts.adapters[i]});
    experts.chain.push_back({state.task, std::move(uses), learners[i].position,
                             expert::indicators_of(state), thresholds[i]});
  }
  return experts;
}

eval::Answering answering_of(const Workspace& workspace, const config::Config& config) {
  eval::DecodeOptions decoding;
  decoding.max_new_tokens = config.data.max_new_tokens;
  decoding.stop_ids = workspace.stop_ids();
  return {*workspace.model, *workspace.tokenizer, decoding, config.eval.eval_batch_size};
}

}  // namespace baton::experiment
