#include "baton/experiment/identity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/text.hpp"
#include "baton/data/builtin_general.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/method/method.hpp"

namespace baton::experiment {

namespace {

constexpr const char* kTemplatePrefix = "template ";

// The ids decide; the text beside them is for whoever reads that they differ.
std::string part_text(const tokenizer::TemplatePart& part, const tokenizer::Tokenizer& tokenizer) {
  return fmt::format("{} {}", fmt::join(part.ids, " "),
                     base::Json(tokenizer.decode(part.ids, false)).dump());
}

void add_rows(const method::LearnerPlan& learner, const RunFacts& run, expert::Identity& identity) {
  for (const std::size_t task : learner.own_tasks) {
    const TaskFacts& facts = run.tasks[task];
    if (!facts.rows_fingerprint.empty()) {
      identity.set(task == learner.position
                       ? "task_rows"
                       : fmt::format("task_rows {:02d} {}", task + 1, facts.name),
                   facts.rows_fingerprint);
    }
  }
  for (const std::size_t task : learner.buffers) {
    identity.set("buffer " + run.tasks[task].name, run.tasks[task].buffer_fingerprint);
  }
  if (learner.takes_general && !run.general_fingerprint.empty()) {
    identity.set("general_rows", run.general_fingerprint);
  }
}

}  // namespace

expert::Identity common_identity(const config::Config& config, const Workspace& workspace) {
  expert::Identity identity;
  const std::unique_ptr<method::Method> method = method::make_method(config);
  for (const auto& [key, value] : config::identity_facts(config)) {
    if (key != "model.dtype" && method->reads(key)) {
      identity.set(key, value);
    }
  }
  if (config.method.mismatch_ratio > 0 && method->reads("method.mismatch_ratio")) {
    identity.set("mismatch_texts", data::rows_fingerprint(data::builtin_general_rows()));
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

std::map<std::size_t, expert::Identity> identities_of(const config::Config& config,
                                                      const Workspace& workspace,
                                                      const method::Method& method,
                                                      const RunFacts& run) {
  const expert::Identity common = common_identity(config, workspace);
  std::map<std::size_t, expert::Identity> all;
  for (const method::LearnerPlan& learner : method.learners(run.tasks.size())) {
    expert::Identity& identity = all[learner.position];
    identity = common;
    if (workspace.indicators) {
      identity.set("accept_token_id", std::to_string(workspace.indicators->accept));
      identity.set("pass_token_id", std::to_string(workspace.indicators->pass));
    }
    identity.set("task", run.tasks[learner.position].name);
    add_rows(learner, run, identity);
    if (learner.begins_from) {
      identity.set("begins_from", all.at(*learner.begins_from).fingerprint());
    }
    for (const std::size_t earlier : learner.beside) {
      identity.set(fmt::format("beside {:02d} {}", earlier + 1, run.tasks[earlier].name),
                   all.at(earlier).fingerprint());
    }
  }
  return all;
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
