#include "calibrate_command.hpp"

#include <fmt/format.h>

#include <iostream>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/sha256.hpp"
#include "baton/base/text.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/method/threshold_target.hpp"
#include "baton/run/run_lock.hpp"
#include "baton/run/thresholds_file.hpp"

namespace baton::app {

namespace {

constexpr const char* kTrained = "trained";

expert::ExpertState load(const run::RunFolder& folder, const std::string& task) {
  if (!folder.has(folder.expert_file(task))) {
    throw base::Error(base::ErrorKind::kUsage, "this run is not finished: an expert is missing",
                      {.where = folder.expert_path(task).string(),
                       .expected = "an expert for every task",
                       .found = "none for " + task,
                       .fix = "run `baton train` with the run's config first"});
  }
  folder.verify(folder.expert_file(task));
  expert::ExpertState state = checkpoint::load_expert(folder.expert_path(task), {.task = task});
  if (state.roc.empty()) {
    throw base::Error(base::ErrorKind::kUsage, "this expert has no margins to set a threshold from",
                      {.where = folder.expert_path(task).string(),
                       .expected = "a curve of held-out rows (method.accept_threshold = auto)",
                       .found = "none",
                       .fix = "train the run with method.accept_threshold = auto"});
  }
  return state;
}

}  // namespace

int run_calibrate(const std::filesystem::path& run, const std::string& target) {
  const bool goes_back = target == kTrained;
  const method::ThresholdTarget wanted =
      goes_back ? method::ThresholdTarget{} : method::parse_threshold_target(target);
  run::RunFolder::require(run);
  const run::RunLock lock(run);
  run::RunFolder folder = run::RunFolder::load(run);
  if (goes_back) {
    run::remove_thresholds(folder);
    base::log_info("calibrate", "the thresholds of the training count again");
    return 0;
  }
  run::Thresholds thresholds{.target = target, .by_task = {}};
  std::vector<std::vector<std::string>> rows;
  for (const std::string& task : folder.record().tasks) {
    const expert::ExpertState state = load(folder, task);
    const expert::RocPoint& point = method::choose_point(state.roc, wanted);
    thresholds.by_task[task] = {.threshold = point.threshold,
                                .trained = state.accept_threshold,
                                .own_accepted = point.true_positive_rate,
                                .foreign_accepted = point.false_positive_rate,
                                .expert_sha256 = base::sha256_file(folder.expert_path(task))};
    rows.push_back({task, fmt::format("{:.4g}", state.accept_threshold),
                    fmt::format("{:.4g}", point.threshold),
                    fmt::format("{:.3f}", point.true_positive_rate),
                    fmt::format("{:.3f}", point.false_positive_rate)});
  }
  run::save_thresholds(folder, thresholds);
  std::cout << base::format_table({"expert", "trained", "now", "own accepted", "others accepted"},
                                  rows)
            << "\nnext: baton eval --run " << run.string() << '\n';
  return 0;
}

}  // namespace baton::app
