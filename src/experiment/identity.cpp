#include "baton/experiment/identity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"

namespace baton::experiment {

namespace {

constexpr const char* kTemplatePrefix = "template ";

// The ids decide; the text beside them is for whoever reads that they differ.
std::string part_text(const tokenizer::TemplatePart& part, const tokenizer::Tokenizer& tokenizer) {
  return fmt::format("{} {}", fmt::join(part.ids, " "),
                     base::Json(tokenizer.decode(part.ids, false)).dump());
}

}  // namespace

expert::Identity common_identity(const config::Config& config, const Workspace& workspace) {
  expert::Identity identity;
  for (const auto& [key, value] : config::identity_facts(config)) {
    if (key != "model.dtype") {
      identity.set(key, value);
    }
  }
  if (!workspace.dtype.empty()) {
    identity.set("model.dtype", workspace.dtype);
  }
  identity.set("base", workspace.base_fingerprint);
  identity.set("tokenizer", workspace.tokenizer->fingerprint());
  identity.set("data.template", workspace.prompt_template->name());
  for (const tokenizer::TemplatePart& part : workspace.prompt_template->parts()) {
    identity.set(kTemplatePrefix + part.name, part_text(part, *workspace.tokenizer));
  }
  identity.set("stop_ids", fmt::format("{}", fmt::join(workspace.stop_ids(), " ")));
  return identity;
}

expert::Identity identity_of(const config::Config& config,
                             const Workspace& workspace,
                             const RunFacts& run,
                             std::size_t index) {
  expert::Identity identity = common_identity(config, workspace);
  identity.set("accept_token_id", std::to_string(workspace.indicators.accept));
  identity.set("pass_token_id", std::to_string(workspace.indicators.pass));
  identity.set("task", run.tasks[index].name);
  if (!run.tasks[index].rows_fingerprint.empty()) {
    identity.set("task_rows", run.tasks[index].rows_fingerprint);
  }
  for (std::size_t earlier = 0; earlier < index; ++earlier) {
    identity.set(fmt::format("buffer {:02d} {}", earlier + 1, run.tasks[earlier].name),
                 run.tasks[earlier].buffer_fingerprint);
  }
  if (!run.general_fingerprint.empty()) {
    identity.set("general_rows", run.general_fingerprint);
  }
  return identity;
}

void check_common_identity(const expert::ExpertState& expert,
                           const expert::Identity& now,
                           const std::filesystem::path& path) {
  // Of the expert's facts those that are common; a template may have lost a part.
  expert::Identity trained;
  for (const auto& [name, value] : expert.identity.facts()) {
    if (now.facts().contains(name) || name.starts_with(kTemplatePrefix)) {
      trained.set(name, value);
    }
  }
  const std::vector<std::string> differences = expert::describe_differences(trained, now);
  if (!differences.empty()) {
    throw base::Error(
        base::ErrorKind::kModel,
        fmt::format("the expert {} was trained with another model folder or other settings",
                    expert.task),
        {.where = path.string(),
         .expected = "the base, tokenizer, template and settings of its training",
         .found = "\n    " + base::join(differences, "\n    "),
         .fix =
             "point model.model_name_or_path at the folder as it was then, and leave run.json as "
             "`baton train` wrote it; or train another run with this folder"});
  }
}

}  // namespace baton::experiment
