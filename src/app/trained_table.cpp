#include "trained_table.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <iostream>

#include "baton/base/log.hpp"
#include "baton/base/text.hpp"

namespace baton::app {

namespace {

constexpr std::ptrdiff_t kValidationColumn = 4;

}  // namespace

std::vector<std::string> TrainedTable::add(int item, const TrainedExpert& expert) {
  std::string accepted = "-";
  std::string passed = "-";
  std::vector<std::string> doubts;
  if (expert.calibration) {
    const method::Calibration& found = *expert.calibration;
    accepted = fmt::format("{:.3f}", found.own_accepted);
    passed = fmt::format("{:.3f}", found.foreign_passed);
    doubts = method::doubts_about(expert.task, found);
  }
  rows_[item] = {expert.task,
                 fmt::format("{}+{}", expert.num_positive, expert.num_negative),
                 std::to_string(expert.num_updates),
                 fmt::format("{:.4f}", expert.last_loss),
                 expert.validation_loss ? fmt::format("{:.4f}", *expert.validation_loss) : "-",
                 fmt::format("{:.4g}", expert.threshold),
                 accepted,
                 passed,
                 fmt::format("{:.1f}", expert.seconds)};
  has_validation_ = has_validation_ || expert.validation_loss.has_value();
  doubts_.insert(doubts_.end(), doubts.begin(), doubts.end());
  return doubts;
}

void TrainedTable::print() const {
  if (rows_.empty()) {
    return;
  }
  std::vector<std::string> header = {"expert",    "rows", "updates", "loss",   "validation",
                                     "threshold", "own",  "others",  "seconds"};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [item, row] : rows_) {
    rows.push_back(row);
  }
  if (!has_validation_) {
    header.erase(header.begin() + kValidationColumn);
    for (std::vector<std::string>& row : rows) {
      row.erase(row.begin() + kValidationColumn);
    }
  }
  std::cerr << base::format_table(header, rows)
            << "rows: its own + others; own: share of its own unseen rows that it accepts;\n"
               "others: share of unseen foreign rows that it passes on\n";
  for (const std::string& doubt : doubts_) {
    base::log_warning("train", doubt);
  }
}

}  // namespace baton::app
