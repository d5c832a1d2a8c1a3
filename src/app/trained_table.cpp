#include "trained_table.hpp"

#include <fmt/format.h>

#include <iostream>

#include "baton/base/log.hpp"
#include "baton/base/text.hpp"

namespace baton::app {

namespace {

method::Calibration calibration_from(const base::Json& json) {
  method::Calibration found;
  found.num_own = json.at("num_own").get<std::int64_t>();
  found.num_foreign = json.at("num_foreign").get<std::int64_t>();
  found.own_accepted = json.at("own_accepted").get<double>();
  found.foreign_passed = json.at("foreign_passed").get<double>();
  return found;
}

}  // namespace

base::Json to_json(const method::Calibration& found) {
  return {{"num_own", found.num_own},
          {"num_foreign", found.num_foreign},
          {"own_accepted", found.own_accepted},
          {"foreign_passed", found.foreign_passed}};
}

std::vector<std::string> TrainedTable::add(int item, const TrainedExpert& expert) {
  std::string accepted = "-";
  std::string passed = "-";
  std::vector<std::string> doubts;
  if (!expert.calibration.is_null()) {
    const method::Calibration found = calibration_from(expert.calibration);
    accepted = fmt::format("{:.3f}", found.own_accepted);
    passed = fmt::format("{:.3f}", found.foreign_passed);
    doubts = method::doubts_about(expert.task, found);
  }
  rows_[item] = {expert.task,
                 fmt::format("{}+{}", expert.num_positive, expert.num_negative),
                 std::to_string(expert.num_updates),
                 fmt::format("{:.4f}", expert.last_loss),
                 fmt::format("{:.4g}", expert.threshold),
                 accepted,
                 passed,
                 fmt::format("{:.1f}", expert.seconds)};
  doubts_.insert(doubts_.end(), doubts.begin(), doubts.end());
  return doubts;
}

void TrainedTable::print() const {
  if (rows_.empty()) {
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [item, row] : rows_) {
    rows.push_back(row);
  }
  std::cerr
      << base::format_table(
             {"expert", "rows", "updates", "loss", "threshold", "own", "others", "seconds"}, rows)
      << "rows: its own + others; own: share of its own unseen rows that it accepts; others:\n"
         "share of unseen foreign rows that it passes on\n";
  for (const std::string& doubt : doubts_) {
    base::log_warning("train", doubt);
  }
}

}  // namespace baton::app
