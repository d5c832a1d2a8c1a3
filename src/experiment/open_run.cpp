#include "baton/experiment/open_run.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/expert_file.hpp"

namespace baton::experiment {

namespace {

void check_base(const expert::ExpertState& state,
                const Workspace& workspace,
                const std::filesystem::path& path) {
  if (state.base_fingerprint != workspace.model->fingerprint()) {
    throw base::Error(
        base::ErrorKind::kModel, "an expert was trained on another base model",
        {.where = path.string(),
         .expected = fmt::format("base {}", state.base_fingerprint.substr(0, 16)),
         .found = fmt::format("base {}", workspace.model->fingerprint().substr(0, 16)),
         .fix = "point model.model_name_or_path at the folder the run was trained with"});
  }
  const std::string& name = workspace.prompt_template->name();
  if (state.prompt_template != name) {
    throw base::Error(base::ErrorKind::kModel, "an expert was trained with another prompt template",
                      {.where = path.string(),
                       .expected = state.prompt_template,
                       .found = name,
                       .fix = "use the run's own settings"});
  }
}

}  // namespace

config::Config config_of_run(const run::RunFolder& folder,
                             const std::vector<config::Override>& overrides,
                             config::Purpose purpose) {
  const config::Config stored =
      config::config_from_resolved(folder.record().config, (folder.root() / "run.json").string());
  return config::with_overrides(stored, overrides, purpose);
}

LoadedExperts load_experts(const run::RunFolder& folder, const Workspace& workspace) {
  std::vector<std::string> missing;
  for (const std::string& task : folder.record().tasks) {
    if (!std::filesystem::exists(folder.expert_path(task))) {
      missing.push_back(task);
    }
  }
  if (!missing.empty()) {
    throw base::Error(base::ErrorKind::kUsage, "this run is not finished: experts are missing",
                      {.where = folder.root().string(),
                       .expected = fmt::format("{} experts", folder.record().tasks.size()),
                       .found = "missing: " + base::join(missing, ", "),
                       .fix = "run `baton train` with the run's config first"});
  }
  LoadedExperts experts;
  const std::int64_t num_layers = workspace.model->config().num_hidden_layers;
  for (const std::string& task : folder.record().tasks) {
    const std::filesystem::path path = folder.expert_path(task);
    if (!folder.verify(folder.expert_file(task))) {
      base::log_warning("run",
                        path.string() + " is not recorded in run.json; its own checksums decide");
    }
    expert::ExpertState state = checkpoint::load_expert(path);
    check_base(state, workspace, path);
    experts.adapters.push_back(
        model::adapter_from_state(state, num_layers, workspace.model->device()));
    state.arrays.clear();
    experts.states.push_back(std::move(state));
  }
  for (std::size_t i = 0; i < experts.states.size(); ++i) {
    const expert::ExpertState& state = experts.states[i];
    experts.chain.push_back({state.task, &experts.adapters[i], state.accept_token_id,
                             state.pass_token_id, state.accept_threshold});
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
