#include "export_command.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/experiment/identity.hpp"
#include "baton/experiment/open_run.hpp"
#include "baton/run/base_of_run.hpp"
#include "baton/run/run_record.hpp"
#include "baton/weights/chain_export.hpp"
#include "baton/weights/peft_export.hpp"

namespace baton::app {

namespace {

using base::Error;
using base::ErrorKind;

// Holds what tokenizers treat in ways of their own: spaces, digits, accents, a special token.
constexpr const char* kSample = "  Two  words, 12 numbers: <|im_end|> and caf\u00e9.\n";

/// A run's experts as files.
class ExpertFiles {
 public:
  explicit ExpertFiles(const std::filesystem::path& run)
      : folder_(run::RunFolder::load(run)),
        config_(experiment::config_of_run(folder_, {}, config::Purpose::kAsk)),
        base_(run::base_sizes_of(folder_.record())) {}

  const run::RunFolder& folder() const { return folder_; }
  const config::Config& config() const { return config_; }
  std::filesystem::path path(const std::string& task) const { return folder_.expert_path(task); }

  expert::ExpertState load(const std::string& task) const {
    if (!folder_.verify(folder_.expert_file(task))) {
      base::log_warning(
          "export", path(task).string() + " is not recorded in run.json; its own checksums decide");
    }
    return checkpoint::load_expert(path(task), {task, base_});
  }

 private:
  run::RunFolder folder_;
  config::Config config_;
  std::optional<expert::BaseSizes> base_;
};

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

void export_one(const ExpertFiles& files,
                const std::string& expert,
                const std::filesystem::path& out) {
  const auto path = files.path(expert);
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::kUsage, fmt::format("the expert '{}' is not trained yet", expert),
                {.where = path.string(),
                 .expected = "an expert file",
                 .found = "none",
                 .fix = "run 'baton train' with the run's config first"});
  }
  const expert::ExpertState state = files.load(expert);
  check_model_folder(files.config(), state, path);
  const std::string digest = base::sha256_file(path);
  weights::PeftExportOptions options;
  options.base_model = files.config().model.model_name_or_path;
  options.accept_text = files.config().method.accept_indicator;
  options.pass_text = files.config().method.pass_indicator;
  options.threshold =
      experiment::thresholds_in_use(files.folder(), std::span(&state, 1), std::span(&digest, 1))
          .front();
  weights::export_peft(state, out, options);
  base::log_info("export", fmt::format("expert '{}' written to {}", expert, out.string()));
}

std::vector<std::string> routers_that_go_by_margins() {
  std::vector<std::string> names;
  for (const std::string& name : method::router_names()) {
    if (method::make_router(name)->margin_rule() != method::MarginRule::kNone) {
      names.push_back(name);
    }
  }
  return names;
}

// What cannot be asked by margins alone cannot be carried to another program.
std::unique_ptr<method::Router> checked_router(const method::Method& method) {
  if (!method.has_experts() || !method.uses_indicators()) {
    throw Error(ErrorKind::kUsage, "this run has no chain to export",
                {.where = "method.method of the run",
                 .expected = "a method whose experts say which prompts are theirs, as see",
                 .found = method.name(),
                 .fix = "export its adapters one at a time, with --expert NAME"});
  }
  std::unique_ptr<method::Router> router = method.make_router();
  if (router->margin_rule() == method::MarginRule::kNone) {
    throw Error(ErrorKind::kUsage, "this run's router cannot be exported",
                {.where = "method.router of the run",
                 .expected = "one that goes by the experts' margins alone: " +
                             base::join(routers_that_go_by_margins(), ", "),
                 .found = router->name(),
                 .fix = "export its adapters one at a time, with --expert NAME"});
  }
  return router;
}

weights::ChainPrompt prompt_of(const experiment::Workspace& workspace) {
  const tokenizer::PromptTemplate& prompt_template = *workspace.prompt_template;
  const tokenizer::QuestionFrame frame = prompt_template.question_frame();
  const tokenizer::Message sample{"user", kSample};
  return {.name = prompt_template.name(),
          .before = frame.before,
          .lead = frame.lead,
          .trims_text = frame.trims_text,
          .is_beginning = frame.is_beginning,
          .after = frame.after,
          .sample = kSample,
          .sample_ids = prompt_template.encode(std::span(&sample, 1), 0).ids};
}

/// The experts' facts, each checked, without their arrays: those are read again when written.
std::vector<expert::ExpertState> check_experts(const ExpertFiles& files,
                                               const std::vector<method::LearnerPlan>& learners,
                                               const experiment::Workspace& workspace) {
  const expert::Identity now = experiment::common_identity(files.config(), workspace);
  std::vector<expert::ExpertState> states;
  for (const method::LearnerPlan& learner : learners) {
    const std::string& task = files.folder().record().tasks[learner.position];
    expert::ExpertState state = files.load(task);
    experiment::check_common_identity(state, now, files.path(task));
    const expert::ExpertState& first = states.empty() ? state : states.front();
    if (state.accept_token_id != first.accept_token_id ||
        state.pass_token_id != first.pass_token_id) {
      throw Error(ErrorKind::kModel, "the experts of this run do not share their indicators",
                  {.where = files.path(task).string(),
                   .expected = fmt::format("tokens {} and {}, as {} has", first.accept_token_id,
                                           first.pass_token_id, first.task),
                   .found = fmt::format("{} and {}", state.accept_token_id, state.pass_token_id),
                   .fix = "train the run anew with one pair of indicators"});
    }
    state.arrays.clear();
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<weights::ChainMember> members_of(const run::RunFolder& folder,
                                             const std::vector<method::LearnerPlan>& learners,
                                             const std::vector<expert::ExpertState>& states) {
  std::vector<std::string> digests;
  for (const expert::ExpertState& state : states) {
    digests.push_back(base::sha256_file(folder.expert_path(state.task)));
  }
  const std::vector<double> thresholds = experiment::thresholds_in_use(folder, states, digests);
  std::vector<weights::ChainMember> members;
  for (std::size_t i = 0; i < states.size(); ++i) {
    members.push_back({.name = states[i].task,
                       .folder = run::task_file_stem(learners[i].position, states[i].task),
                       .threshold = thresholds[i]});
  }
  return members;
}

void export_all(const ExpertFiles& files, const std::filesystem::path& out) {
  const config::Config& config = files.config();
  const std::unique_ptr<method::Method> method = method::make_method(config);
  weights::ChainFacts facts;
  facts.method = method->name();
  const std::unique_ptr<method::Router> router = checked_router(*method);
  facts.router = router->name();
  facts.takes_first = router->margin_rule() == method::MarginRule::kFirst;
  const std::vector<method::LearnerPlan> learners =
      experiment::finished_learners(files.folder(), *method);
  const experiment::Workspace workspace = experiment::open_workspace_without_model(config);
  const std::vector<expert::ExpertState> states = check_experts(files, learners, workspace);
  facts.experts = members_of(files.folder(), learners, states);
  facts.indicators = {states.front().accept_token_id, states.front().pass_token_id};
  facts.accept_text = config.method.accept_indicator;
  facts.pass_text = config.method.pass_indicator;
  facts.prompt = prompt_of(workspace);
  facts.cutoff_len = config.data.cutoff_len;
  facts.max_new_tokens = config.data.max_new_tokens;
  facts.stop_ids = workspace.stop_ids();
  facts.base = {.folder = config.model.model_name_or_path,
                .fingerprint = workspace.base_fingerprint,
                .dtype = config.model.dtype};
  weights::export_chain(
      facts, [&](std::size_t i) { return files.load(states[i].task); }, out);
  base::log_info("export",
                 fmt::format("chain of {} experts written to {}; ask it with python {}",
                             states.size(), out.string(), (out / "run_chain.py").string()));
}

}  // namespace

int run_export(const std::filesystem::path& run,
               const std::string& expert,
               const std::filesystem::path& out) {
  const ExpertFiles files(run);
  if (expert.empty()) {
    export_all(files, out);
  } else {
    export_one(files, expert, out);
  }
  return 0;
}

}  // namespace baton::app
