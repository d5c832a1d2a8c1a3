#include "baton/experiment/finished_evaluation.hpp"

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/run/thresholds_file.hpp"

namespace baton::experiment {

namespace {

// Times are whole seconds: thresholds of the evaluation's own second may have come after it.
bool changed_after(const std::string& file, const std::string& time, const std::string& evaluated) {
  return file == run::kThresholdsFile ? time >= evaluated
                                      : file.starts_with("experts/") && time > evaluated;
}

}  // namespace

bool is_evaluated(const run::RunFolder& folder, const config::Config& config) {
  const auto& files = folder.record().files;
  const auto found = files.find(run::kResultsFile);
  if (found == files.end()) {
    return false;
  }
  for (const char* name : {run::kResultsFile, run::kPredictionsFile}) {
    if (folder.condition_of(name) != run::FileCondition::kOk) {
      return false;
    }
  }
  const base::Json results =
      base::read_json_file(folder.path_of(run::kResultsFile), base::ErrorKind::kModel);
  return results.value("tasks", base::Json::array()) == base::Json(folder.record().tasks) &&
         results.value("settings", base::Json::object()) ==
             base::Json(config::evaluation_settings(config)) &&
         std::none_of(files.begin(), files.end(), [&](const auto& file) {
           return changed_after(file.first, file.second.made_by.time, found->second.made_by.time);
         });
}

}  // namespace baton::experiment
