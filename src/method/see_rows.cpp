#include "baton/method/see_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/data/builtin_general.hpp"
#include "baton/method/calibration.hpp"
#include "mismatches.hpp"

namespace baton::method {

namespace {

void check_range(bool good, const std::string& key, const std::string& expected, double found) {
  if (!good) {
    throw base::Error(base::ErrorKind::kUsage, "a ratio is out of range",
                      {.where = "config key method." + key,
                       .expected = expected,
                       .found = fmt::format("{}", found),
                       .fix = "set a ratio in this range"});
  }
}

// round(ratio x num_rows), halves up.
std::size_t share_of(double ratio, std::int64_t num_rows) {
  return static_cast<std::size_t>(std::llround(ratio * static_cast<double>(num_rows)));
}

constexpr std::size_t kLeastRowsToHoldOutOf = 4;
constexpr auto kLeastToHoldOut = static_cast<std::size_t>(kLeastMargins);

std::size_t num_to_hold_out(double ratio, std::size_t num_rows) {
  if (ratio <= 0 || num_rows < kLeastRowsToHoldOutOf) {
    return 0;
  }
  const std::size_t count = share_of(ratio, static_cast<std::int64_t>(num_rows));
  return std::clamp<std::size_t>(count, 1, num_rows - 1);
}

struct HeldOutSplit {
  std::vector<std::size_t> kept;
  std::vector<std::size_t> held_out;
};

HeldOutSplit hold_out(std::size_t num_rows, std::size_t count, std::uint64_t seed) {
  HeldOutSplit split;
  split.held_out = base::Random(seed).sample_indices(num_rows, count);
  std::size_t next = 0;
  for (std::size_t row = 0; row < num_rows; ++row) {
    if (next < split.held_out.size() && split.held_out[next] == row) {
      ++next;
    } else {
      split.kept.push_back(row);
    }
  }
  return split;
}

// One list of rows as it goes into an expert's training set.
class RowList {
 public:
  RowList(const ReconstructionOptions& options, const std::string& task, data::SelectedRow facts)
      : options_(options), task_(task), facts_(std::move(facts)) {}

  std::uint64_t seed(const std::string& purpose, const std::string& kind) const {
    return facts_.role == data::RowRole::kRehearsal
               ? base::seed_for(options_.run_seed, {purpose, kind, task_, facts_.task})
               : base::seed_for(options_.run_seed, {purpose, kind, task_});
  }

  /// The two folds are random halves, for files are often sorted.
  void append(std::span<const data::Example> rows,
              std::span<const std::size_t> indices,
              std::vector<data::SelectedRow>& target) const {
    const std::string list = facts_.role == data::RowRole::kGeneral ? "general" : facts_.task;
    base::Random random(base::seed_for(options_.run_seed, {"folds", task_, list}));
    const std::vector<std::size_t> second =
        random.sample_indices(indices.size(), indices.size() / 2);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      data::SelectedRow row = facts_;
      row.example = rows[indices[i]];
      row.fold = std::binary_search(second.begin(), second.end(), i) ? 1 : 0;
      target.push_back(std::move(row));
    }
  }

 private:
  const ReconstructionOptions& options_;
  const std::string& task_;
  data::SelectedRow facts_;
};

void append_own(const std::string& task,
                std::span<const data::Example> rows,
                const ReconstructionOptions& options,
                Reconstruction& result) {
  std::size_t count = num_to_hold_out(options.calibration_ratio, rows.size());
  count = count < kLeastToHoldOut ? 0 : count;
  result.cross_fits = cross_fits(options, rows.size());
  const RowList list(options, task,
                     {.example = {}, .role = data::RowRole::kPositive, .task = task});
  const HeldOutSplit split = hold_out(rows.size(), count, list.seed("held_out", "own"));
  list.append(rows, split.held_out, result.held_out);
  list.append(rows, split.kept, result.training);
  result.num_positive = static_cast<std::int64_t>(result.training.size());
}

std::size_t wanted_negatives(const ReconstructionOptions& options, std::int64_t num_task_rows) {
  if (options.negative_ratio <= 0) {
    return 0;
  }
  return std::max({std::size_t{1}, static_cast<std::size_t>(options.negative_floor),
                   share_of(options.negative_ratio, num_task_rows)});
}

// Rows that training does not want cost nothing to hold out.
std::size_t negatives_to_hold_out(const ReconstructionOptions& options,
                                  std::size_t num_rows,
                                  std::size_t wanted) {
  if (options.calibration_ratio <= 0) {
    return 0;
  }
  const std::size_t spare = num_rows > wanted ? num_rows - wanted : 0;
  return std::max(num_to_hold_out(options.calibration_ratio, num_rows),
                  std::min(spare, 2 * kLeastToHoldOut));
}

}  // namespace

std::size_t negatives_of(const ReconstructionOptions& options,
                         std::size_t num_rows,
                         std::int64_t num_task_rows) {
  const std::size_t wanted = wanted_negatives(options, num_task_rows);
  return std::min(wanted, num_rows - negatives_to_hold_out(options, num_rows, wanted));
}

namespace {

void append_rehearsal(const std::string& task,
                      const data::RehearsalBuffer& buffer,
                      const ReconstructionOptions& options,
                      Reconstruction& result) {
  BATON_ASSERT(buffer.task != task, "an expert does not rehearse its own task " + task);
  const std::size_t wanted = wanted_negatives(options, buffer.num_task_rows);
  const RowList list(options, task,
                     {.example = {}, .role = data::RowRole::kRehearsal, .task = buffer.task});
  const HeldOutSplit split =
      hold_out(buffer.rows.size(), negatives_to_hold_out(options, buffer.rows.size(), wanted),
               list.seed("held_out", "rehearsal"));
  list.append(buffer.rows, split.held_out, result.held_out);
  if (wanted == 0) {
    return;
  }
  const std::size_t by_ratio = share_of(options.negative_ratio, buffer.num_task_rows);
  if (by_ratio > split.kept.size()) {
    result.warnings.push_back(fmt::format(
        "expert {}: the buffer of {} gives {} negatives where negative_ratio asks for {} ({} of "
        "its {} rows are "
        "held out)",
        task, buffer.task, split.kept.size(), by_ratio, split.held_out.size(), buffer.rows.size()));
  }
  base::Random random(base::seed_for(options.run_seed, {"negatives", task, buffer.task}));
  std::vector<std::size_t> chosen;
  for (const std::size_t position :
       random.sample_indices(split.kept.size(), std::min(wanted, split.kept.size()))) {
    chosen.push_back(split.kept[position]);
  }
  list.append(buffer.rows, chosen, result.training);
}

void append_general(const std::string& task,
                    std::span<const data::Example> rows,
                    const ReconstructionOptions& options,
                    Reconstruction& result) {
  const std::size_t wanted =
      options.general_samples > 0 ? static_cast<std::size_t>(options.general_samples) : rows.size();
  const std::size_t spare = rows.size() > wanted ? rows.size() - wanted : 0;
  const RowList list(options, task, {.example = {}, .role = data::RowRole::kGeneral, .task = ""});
  const HeldOutSplit split = hold_out(
      rows.size(), std::max(spare, num_to_hold_out(options.calibration_ratio, rows.size())),
      list.seed("held_out", "general"));
  if (options.calibration_ratio > 0) {
    list.append(rows, split.held_out, result.held_out);
  }
  list.append(rows, split.kept, result.training);
}

std::vector<const data::RehearsalBuffer*> by_name(std::span<const data::RehearsalBuffer> buffers) {
  std::map<std::string, const data::RehearsalBuffer*> named;
  for (const data::RehearsalBuffer& buffer : buffers) {
    named[buffer.task] = &buffer;
  }
  std::vector<const data::RehearsalBuffer*> list;
  for (const auto& [name, buffer] : named) {
    list.push_back(buffer);
  }
  return list;
}

void append_mismatches(const std::string& task,
                       std::span<const data::Example> own,
                       std::vector<const data::RehearsalBuffer*> buffers,
                       const ReconstructionOptions& options,
                       Reconstruction& result) {
  const std::size_t count = share_of(options.mismatch_ratio, static_cast<std::int64_t>(own.size()));
  if (count == 0) {
    return;
  }
  const std::optional<data::Frame> frame = data::frame_of(own);
  if (!frame) {
    result.warnings.push_back(
        fmt::format("expert {}: its prompts have no instruction in common, so there are no "
                    "mismatches of instruction and input",
                    task));
    return;
  }
  const RowList list(options, task,
                     {.example = {}, .role = data::RowRole::kMismatch, .task = "mismatches"});
  const std::vector<data::Example> general = data::builtin_general_rows();
  const std::vector<data::Example> rows =
      mismatches({own, *frame, general, std::move(buffers)}, count,
                 base::seed_for(options.run_seed, {"mismatches", task}));
  const HeldOutSplit split =
      hold_out(rows.size(), num_to_hold_out(options.calibration_ratio, rows.size()),
               list.seed("held_out", "mismatches"));
  list.append(rows, split.held_out, result.held_out);
  list.append(rows, split.kept, result.training);
}

}  // namespace

bool cross_fits(const ReconstructionOptions& options, std::size_t num_own_rows) {
  return options.calibration_ratio > 0 && num_own_rows >= kLeastRowsToHoldOutOf &&
         num_to_hold_out(options.calibration_ratio, num_own_rows) < kLeastToHoldOut;
}

Reconstruction reconstruct(const std::string& task,
                           std::span<const data::Example> train_rows,
                           std::span<const data::RehearsalBuffer> earlier_buffers,
                           std::span<const data::Example> general_rows,
                           const ReconstructionOptions& options) {
  check_range(options.negative_ratio >= 0 && std::isfinite(options.negative_ratio),
              "negative_ratio", "0 or more", options.negative_ratio);
  check_range(options.calibration_ratio >= 0 && options.calibration_ratio < 1, "calibration_ratio",
              "0 or more, below 1", options.calibration_ratio);
  Reconstruction result;
  append_own(task, train_rows, options, result);
  // By name: the order in which the tasks came must not change the expert.
  const std::vector<const data::RehearsalBuffer*> buffers = by_name(earlier_buffers);
  for (const data::RehearsalBuffer* buffer : buffers) {
    append_rehearsal(task, *buffer, options, result);
  }
  append_general(task, general_rows, options, result);
  append_mismatches(task, train_rows, buffers, options, result);
  result.num_negative = static_cast<std::int64_t>(result.training.size()) - result.num_positive;
  if (result.num_negative == 0) {
    result.warnings.push_back(
        fmt::format("expert {} has no negatives: it will accept everything it is asked "
                    "(data.general gives it some)",
                    task));
  }
  return result;
}

std::vector<data::Example> choose_general(std::span<const data::Example> rows,
                                          std::int64_t count,
                                          std::uint64_t run_seed) {
  if (count <= 0 || static_cast<std::size_t>(count) >= rows.size()) {
    return {rows.begin(), rows.end()};
  }
  std::vector<data::Example> chosen;
  base::Random random(base::seed_for(run_seed, {"general"}));
  for (const std::size_t index :
       random.sample_indices(rows.size(), static_cast<std::size_t>(count))) {
    chosen.push_back(rows[index]);
  }
  return chosen;
}

}  // namespace baton::method
