#include "export_command.hpp"

#include <fmt/format.h>

#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/experiment/identity.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/run/base_of_run.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/peft_export.hpp"

namespace baton::app {

namespace {

// An export is of use on its base and with its tokenizer only; where they are not at hand, that is
// said.
void check_model_folder(const config::Config& config,
                        const expert::ExpertState& expert,
                        const std::filesystem::path& path) {
  const std::string& folder = config.model.model_name_or_path;
  if (!std::filesystem::exists(folder)) {
    base::log_warning("export", fmt::format("base, tokenizer and template were not checked: the "
                                            "model folder {} is not here",
                                            folder));
    return;
  }
  const experiment::Workspace workspace = experiment::open_workspace_without_model(config);
  experiment::check_common_identity(expert, experiment::common_identity(config, workspace), path);
}

}  // namespace

int run_export(const std::filesystem::path& run,
               const std::string& expert,
               const std::filesystem::path& out) {
  const auto folder = run::RunFolder::load(run);
  const auto path = folder.expert_path(expert);
  if (!std::filesystem::exists(path)) {
    throw base::Error(base::ErrorKind::kUsage,
                      fmt::format("the expert '{}' is not trained yet", expert),
                      {.where = path.string(),
                       .expected = "an expert file",
                       .found = "none",
                       .fix = "run 'baton train' with the run's config first"});
  }
  if (!folder.verify(folder.expert_file(expert))) {
    base::log_warning("export",
                      path.string() + " is not recorded in run.json; its own checksums decide");
  }
  const std::optional<expert::BaseSizes> base = run::base_sizes_of(folder.record());
  const expert::ExpertState state = checkpoint::load_expert(path, {expert, base});
  const config::Config config = experiment::config_of_run(folder, {}, config::Purpose::kAsk);
  check_model_folder(config, state, path);
  weights::PeftExportOptions options;
  options.base_model = config.model.model_name_or_path;
  options.accept_text = config.method.accept_indicator;
  options.pass_text = config.method.pass_indicator;
  weights::export_peft(state, out, options);
  base::log_info("export", fmt::format("expert '{}' written to {}", expert, out.string()));
  return 0;
}

}  // namespace baton::app
