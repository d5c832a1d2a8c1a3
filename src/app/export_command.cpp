#include "export_command.hpp"

#include <fmt/format.h>

#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/run/base_of_run.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/peft_export.hpp"

namespace baton::app {

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
  if (!base) {
    base::log_warning("export",
                      "the base model is not at hand: shapes and token ids were compared with one "
                      "another only");
  }
  const auto& config = folder.record().config;
  const auto value = [&](const std::string& key) {
    const auto found = config.find(key);
    return found == config.end() ? std::string() : found->second;
  };
  weights::PeftExportOptions options;
  options.base_model = value("model.model_name_or_path");
  options.accept_text = value("method.accept_indicator");
  options.pass_text = value("method.pass_indicator");
  weights::export_peft(checkpoint::load_expert(path, {expert, base}), out, options);
  base::log_info("export", fmt::format("expert '{}' written to {}", expert, out.string()));
  return 0;
}

}  // namespace baton::app
