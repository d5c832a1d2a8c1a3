#include "baton/report/loaded_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/run/thresholds_file.hpp"

namespace baton::report {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorKind;
using base::Json;

[[noreturn]] void refuse_unfinished(const run::RunFolder& folder,
                                    const std::string& what,
                                    const std::string& found) {
  throw Error(ErrorKind::kUsage, what,
              {.where = folder.root().string(),
               .expected = "a finished evaluation of every task of the run",
               .found = found,
               .fix = "run `baton eval --run " + folder.root().string() + "` to its end first"});
}

void check_evaluated(const run::RunFolder& folder) {
  std::error_code ignored;
  const fs::path partial = folder.paths().eval_folder() / "partial";
  if (fs::exists(partial, ignored)) {
    refuse_unfinished(folder, "an evaluation of this run is unfinished",
                      partial.string() + ", chunks of one that was cut off or still runs");
  }
  for (const char* name : {run::kResultsFile, run::kPredictionsFile}) {
    if (!folder.has(name)) {
      refuse_unfinished(folder, "this run was never evaluated", std::string("no ") + name);
    }
    if (!folder.verify(name)) {
      refuse_unfinished(folder, "an evaluation of this run is unfinished",
                        std::string(name) + ", which run.json does not know");
    }
  }
}

std::optional<double> number_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? std::nullopt
                                                 : std::optional(found->get<double>());
}

RouterScores router_of(const Json& json, const std::string& name) {
  RouterScores scores;
  scores.router = name;
  scores.matrix = json.at("matrix").get<std::vector<std::vector<double>>>();
  scores.average = number_of(json, "AR");
  scores.backward = number_of(json, "BWT");
  scores.forward = number_of(json, "FWT");
  scores.forgetting = number_of(json, "forgetting");
  scores.routing_accuracy = number_of(json, "routing_accuracy");
  if (const auto routing = json.find("routing"); routing != json.end() && !routing->is_null()) {
    scores.routing = routing->get<std::vector<std::vector<std::int64_t>>>();
  }
  if (const auto cost = json.find("cost"); cost != json.end() && !cost->is_null()) {
    scores.experts_asked = number_of(*cost, "experts_asked_mean").value_or(0);
    scores.prompt_tokens = number_of(*cost, "prompt_tokens_prefixed_mean").value_or(0);
    scores.new_tokens = number_of(*cost, "new_tokens_mean").value_or(0);
  }
  return scores;
}

/// The scorer, and beside it those of tasks that have another: "rouge_l (qa: accuracy)".
std::string scorers_of(const Json& json) {
  const auto usual = json.at("metric").get<std::string>();
  std::string others;
  if (const auto metrics = json.find("metrics"); metrics != json.end()) {
    for (const auto& [task, metric] : metrics->items()) {
      if (metric != usual) {
        others += (others.empty() ? "" : ", ") + task + ": " + metric.get<std::string>();
      }
    }
  }
  return others.empty() ? usual : usual + " (" + others + ")";
}

void read_results(LoadedRun& loaded, const Json& json) {
  loaded.method = json.at("method").get<std::string>();
  loaded.seed = json.at("seed").get<std::uint64_t>();
  loaded.metric = scorers_of(json);
  loaded.tasks = json.at("tasks").get<std::vector<std::string>>();
  loaded.base = json.at("base").get<std::vector<double>>();
  loaded.base_description = json.value("base_description", std::string("not recorded"));
  if (!json.at(kOracle).is_null()) {
    loaded.oracle = json.at(kOracle).get<std::vector<double>>();
  }
  const auto own = json.at("router").get<std::string>();
  loaded.routers.push_back(router_of(json, own));
  if (const auto routers = json.find("routers"); routers != json.end()) {
    for (const auto& [name, scores] : routers->items()) {
      if (name != own) {
        loaded.routers.push_back(router_of(scores, name));
      }
    }
  }
}

/// A router without routes lets several experts answer as one: then a name may be no task's.
int answerer_of(const LoadedRun& loaded, const std::string& name) {
  if (name == "base") {
    return kBaseAnswers;
  }
  const bool mixes = !loaded.oracle.empty() && loaded.routers.front().routing.empty();
  const bool is_task =
      std::find(loaded.tasks.begin(), loaded.tasks.end(), name) != loaded.tasks.end();
  return mixes && !is_task ? kTogetherAnswers : static_cast<int>(loaded.task_place(name));
}

Query query_of(const LoadedRun& loaded, const Json& line, const std::string& task) {
  Query query;
  query.id = line.at("id").dump();
  query.prompt = line.value("prompt", std::string());
  const Json& scores = line.at("scores");
  query.base_score = scores.at("base").get<double>();
  for (const Json& who : line.at("answered_by")) {
    const auto name = who.get<std::string>();
    query.stage_scores.push_back(scores.at(name).get<double>());
    query.answered_by.push_back(answerer_of(loaded, name));
  }
  if (!loaded.oracle.empty()) {
    query.oracle_score = number_of(scores, task.c_str());
  }
  query.margins.resize(loaded.tasks.size());
  for (const auto& [name, margin] : line.at("margins").items()) {
    if (margin.is_number()) {
      query.margins[loaded.task_place(name)] = margin.get<double>();
    }
  }
  return query;
}

void read_predictions(LoadedRun& loaded, const fs::path& path) {
  loaded.queries.resize(loaded.tasks.size());
  std::istringstream stream(base::read_file(path, ErrorKind::kModel));
  std::size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    const Json json = base::parse_json(line, ErrorKind::kModel,
                                       fmt::format("{} line {}", path.string(), ++number));
    const auto task = json.at("task").get<std::string>();
    Query query = query_of(loaded, json, task);
    if (query.stage_scores.size() != loaded.tasks.size() + 1) {
      throw Error(ErrorKind::kModel, "a prediction has another number of stages than the results",
                  {.where = fmt::format("{} line {}", path.string(), number),
                   .expected = fmt::format("{} stages", loaded.tasks.size() + 1),
                   .found = fmt::format("{}", query.stage_scores.size()),
                   .fix = "run `baton eval` again"});
    }
    loaded.queries[loaded.task_place(task)].push_back(std::move(query));
  }
}

void read_losses(const fs::path& path, ExpertFacts& facts) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    return;
  }
  std::istringstream stream(base::read_file(path, ErrorKind::kModel));
  for (std::string line; std::getline(stream, line);) {
    const Json json = Json::parse(line, nullptr, false);  // a run that dies may cut its last line
    if (!json.is_object() || !json.contains("step")) {
      continue;
    }
    for (const auto& [key, points] :
         {std::pair("loss", &facts.losses), std::pair("eval_loss", &facts.validation_losses)}) {
      if (const auto loss = number_of(json, key)) {
        points->push_back({json["step"].get<std::int64_t>(), *loss});
      }
    }
  }
}

ExpertFacts read_expert(const run::RunFolder& folder,
                        std::size_t place,
                        const std::optional<run::Thresholds>& thresholds) {
  const std::string& task = folder.record().tasks[place];
  const fs::path path = folder.expert_path(task);
  const expert::ExpertState state = checkpoint::load_expert(path, {.task = task});
  ExpertFacts facts;
  facts.task = task;
  facts.place = place;
  facts.decides = expert::indicators_of(state).has_value();
  facts.threshold = state.accept_threshold;
  facts.roc = state.roc;
  if (thresholds) {
    const auto set = thresholds->by_task.find(task);
    if (set != thresholds->by_task.end() && set->second.expert_sha256 == base::sha256_file(path)) {
      facts.threshold = set->second.threshold;
      facts.was_set_anew = true;
    }
  }
  read_losses(folder.path_of(folder.paths().log_file(place)), facts);
  const auto& files = folder.record().files;
  if (const auto found = files.find(folder.expert_file(task)); found != files.end()) {
    facts.made_by = found->second.made_by;
  }
  return facts;
}

void read_experts(LoadedRun& loaded, const run::RunFolder& folder) {
  const std::optional<run::Thresholds> thresholds = run::load_thresholds(folder);
  std::string missing;
  for (std::size_t place = 0; place < folder.record().tasks.size(); ++place) {
    const std::string& task = folder.record().tasks[place];
    if (folder.has(folder.expert_file(task))) {
      loaded.experts.push_back(read_expert(folder, place, thresholds));
    } else {
      missing += (missing.empty() ? "" : ", ") + task;
    }
  }
  if (!missing.empty()) {
    loaded.remarks.push_back("no adapter of its own for: " + missing);
  }
}

// What an evaluation with --questions left; it may have other experts than the results by now.
void read_questions(LoadedRun& loaded, const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    return;
  }
  const Json json = base::read_json_file(path, ErrorKind::kModel);
  for (const Json& set : json.at("sets")) {
    loaded.questions.push_back(
        {.name = set.at("name").get<std::string>(),
         .num_questions = set.at("questions").get<std::int64_t>(),
         .base = set.at("base").at("accuracy").get<double>(),
         .chain = set.at("chain").at("accuracy").get<double>(),
         .difference_error = set.at("difference_standard_error").get<double>(),
         .left_to_base = set.at("left_to_base").get<double>()});
  }
  if (const Json& roc = json.at("roc"); !roc.is_null()) {
    loaded.foreign_area = roc.at("area").get<double>();
    for (const Json& point : roc.at("points")) {
      loaded.foreign_curve.push_back(
          {.threshold = point.at("threshold").get<double>(),
           .true_positive_rate = point.at("own_accepted").get<double>(),
           .false_positive_rate = point.at("questions_accepted").get<double>()});
    }
  }
}

void read_timings(LoadedRun& loaded, const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    loaded.seconds_per_query =
        number_of(base::read_json_file(path, ErrorKind::kModel), "seconds_per_query");
  }
}

LoadedRun load_run(const fs::path& path) {
  const run::RunFolder folder = run::RunFolder::load(path);
  check_evaluated(folder);
  LoadedRun loaded;
  loaded.path = path;
  loaded.record = folder.record();
  const fs::path results = folder.path_of(run::kResultsFile);
  try {
    read_results(loaded, base::read_json_file(results, ErrorKind::kModel));
    if (loaded.tasks != folder.record().tasks) {
      refuse_unfinished(folder, "this run has other tasks than its evaluation",
                        fmt::format("{} tasks in {}, {} in run.json", loaded.tasks.size(),
                                    run::kResultsFile, folder.record().tasks.size()));
    }
    read_predictions(loaded, folder.path_of(run::kPredictionsFile));
    read_timings(loaded, folder.paths().eval_folder() / "timings.json");
    read_questions(loaded, folder.paths().eval_folder() / "questions.json");
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kModel, "the results of this run cannot be read",
                {.where = results.string(),
                 .expected = "what `baton eval` writes",
                 .found = error.what(),
                 .fix = "run `baton eval` again"});
  }
  loaded.evaluated_by = folder.record().files.at(run::kResultsFile).made_by;
  read_experts(loaded, folder);
  return loaded;
}

/// The shortest tails of the paths that tell all runs apart.
void name_runs(std::vector<LoadedRun>& runs) {
  std::vector<fs::path> rest;
  for (LoadedRun& loaded : runs) {
    rest.push_back(fs::weakly_canonical(loaded.path));
    loaded.name = rest.back().filename().string();
  }
  for (int round = 0; round < 64; ++round) {
    std::map<std::string, int> counts;
    for (const LoadedRun& loaded : runs) {
      ++counts[loaded.name];
    }
    bool all_apart = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (counts[runs[i].name] > 1) {
        rest[i] = rest[i].parent_path();
        runs[i].name = rest[i].filename().string() + "/" + runs[i].name;
        all_apart = false;
      }
    }
    if (all_apart) {
      return;
    }
  }
}

}  // namespace

std::size_t LoadedRun::task_place(const std::string& task) const {
  const auto found = std::find(tasks.begin(), tasks.end(), task);
  if (found == tasks.end()) {
    throw Error(ErrorKind::kModel, "the predictions name a task that the results do not know",
                {.where = (path / run::kPredictionsFile).string(),
                 .expected = "one of the tasks of eval/results.json",
                 .found = task,
                 .fix = "run `baton eval` again"});
  }
  return static_cast<std::size_t>(found - tasks.begin());
}

std::vector<LoadedRun> load_runs(const std::vector<fs::path>& folders) {
  std::vector<fs::path> seen;
  std::vector<LoadedRun> runs;
  for (const fs::path& folder : folders) {
    run::RunFolder::require(folder);
    const fs::path real = fs::canonical(folder);
    if (std::find(seen.begin(), seen.end(), real) != seen.end()) {
      throw Error(ErrorKind::kUsage, "a run is named twice",
                  {.where = "command line",
                   .expected = "every run once",
                   .found = folder.string() + " again",
                   .fix = "leave one of the two --run out"});
    }
    seen.push_back(real);
    runs.push_back(load_run(folder));
  }
  name_runs(runs);
  return runs;
}

}  // namespace baton::report
