#include "predictions_export.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/base/json.hpp"
#include "baton/base/log.hpp"
#include "baton/eval/samples.hpp"

namespace baton::app {

namespace {

using base::Error;
using base::ErrorKind;
namespace fs = std::filesystem;

// The run's own files are not overwritten by a copy of one of them.
bool is_of_the_run(const run::RunFolder& folder, const fs::path& file) {
  std::error_code ignored;
  const auto same = [&](const fs::path& other) { return fs::equivalent(file, other, ignored); };
  if (same(folder.paths().run_file()) || same(folder.path_of("status.json"))) {
    return true;
  }
  for (const auto& [name, record] : folder.record().files) {
    if (same(folder.path_of(name))) {
      return true;
    }
  }
  return false;
}

}  // namespace

void check_export_file(const run::RunFolder& folder, const fs::path& file) {
  const fs::path parent = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code status;
  std::string found;
  if (!fs::is_directory(parent, status)) {
    found = fmt::format("{} is {}", parent.string(),
                        fs::exists(parent, status) ? "no folder" : "not there");
  } else if (fs::is_directory(file, status)) {
    found = "a folder";
  } else if (fs::exists(file, status) && !fs::is_regular_file(file, status)) {
    found = "a pipe, a device or the like";
  } else if (is_of_the_run(folder, file)) {
    found = "a file of the run";
  }
  if (!found.empty()) {
    throw Error(ErrorKind::kUsage, "the predictions cannot be exported to this file",
                {.where = "--export-predictions " + file.string(),
                 .expected = "a new file, or one to replace, in a folder that is there",
                 .found = found,
                 .fix = "make the folder, or give another file"});
  }
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorKind::kStorage, "the predictions cannot be exported to this folder",
                {.where = parent.string(),
                 .expected = "a folder that can be written to",
                 .found = "no permission",
                 .fix = "give another file, or change the folder's permissions"});
  }
}

void export_predictions(const run::RunFolder& folder,
                        const config::Config& config,
                        const fs::path& file) {
  const base::Json results =
      base::read_json_file(folder.path_of(run::kResultsFile), ErrorKind::kModel);
  const fs::path predictions = folder.path_of(run::kPredictionsFile);
  eval::SampleFacts facts;
  facts.metrics = results.at("metrics").get<std::map<std::string, std::string>>();
  facts.max_new_tokens = config.data.max_new_tokens;
  base::write_file_atomically(
      file, eval::samples_jsonl(base::read_file(predictions, ErrorKind::kModel), facts,
                                predictions.string()));
  base::log_info("eval", "predictions written to " + file.string());
}

}  // namespace baton::app
