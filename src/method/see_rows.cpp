#include "baton/method/see_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

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

HeldOutSplit hold_out(std::size_t num_rows, double ratio, std::uint64_t seed) {
  HeldOutSplit split;
  split.held_out = base::Random(seed).sample_indices(num_rows, num_to_hold_out(ratio, num_rows));
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

void append_rows(std::span<const data::Example> rows,
                 std::span<const std::size_t> indices,
                 const data::SelectedRow& facts,
                 std::vector<data::SelectedRow>& target) {
  for (const std::size_t index : indices) {
    target.push_back({.example = rows[index], .role = facts.role, .task = facts.task});
  }
}

void append_rehearsal(const std::string& task,
                      const data::RehearsalBuffer& buffer,
                      const ReconstructionOptions& options,
                      Reconstruction& result) {
  BATON_ASSERT(buffer.task != task, "an expert does not rehearse its own task " + task);
  const HeldOutSplit split =
      hold_out(buffer.rows.size(), options.calibration_ratio,
               base::seed_for(options.run_seed, {"held_out", "rehearsal", task, buffer.task}));
  const data::SelectedRow facts{
      .example = {}, .role = data::RowRole::kRehearsal, .task = buffer.task};
  append_rows(buffer.rows, split.held_out, facts, result.held_out);
  if (options.negative_ratio <= 0) {
    return;
  }
  const std::size_t wanted =
      std::max<std::size_t>(1, share_of(options.negative_ratio, buffer.num_task_rows));
  if (wanted > split.kept.size()) {
    result.warnings.push_back(fmt::format(
        "expert {}: the buffer of {} gives {} negatives where negative_ratio asks for {} ({} of "
        "its {} rows are "
        "held out)",
        task, buffer.task, split.kept.size(), wanted, split.held_out.size(), buffer.rows.size()));
  }
  base::Random random(base::seed_for(options.run_seed, {"negatives", task, buffer.task}));
  std::vector<std::size_t> chosen;
  for (const std::size_t position :
       random.sample_indices(split.kept.size(), std::min(wanted, split.kept.size()))) {
    chosen.push_back(split.kept[position]);
  }
  append_rows(buffer.rows, chosen, facts, result.training);
}

}  // namespace

data::RehearsalBuffer make_buffer(const std::string& task,
                                  std::span<const data::Example> train_rows,
                                  double ratio,
                                  std::uint64_t run_seed) {
  check_range(ratio > 0 && ratio <= 1, "buffer_ratio", "above 0, at most 1", ratio);
  if (train_rows.empty()) {
    throw base::Error(base::ErrorKind::kData, "a task without train rows has no rehearsal buffer",
                      {.where = "task " + task,
                       .expected = "at least one train row",
                       .found = "none",
                       .fix = "check the task's files"});
  }
  data::RehearsalBuffer buffer;
  buffer.task = task;
  buffer.num_task_rows = static_cast<std::int64_t>(train_rows.size());
  buffer.ratio = ratio;
  buffer.seed = base::seed_for(run_seed, {"buffer", task});
  const std::size_t count = std::max<std::size_t>(1, share_of(ratio, buffer.num_task_rows));
  for (const std::size_t index :
       base::Random(buffer.seed).sample_indices(train_rows.size(), count)) {
    buffer.rows.push_back(train_rows[index]);
  }
  return buffer;
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
  const HeldOutSplit own = hold_out(train_rows.size(), options.calibration_ratio,
                                    base::seed_for(options.run_seed, {"held_out", "own", task}));
  const data::SelectedRow own_facts{.example = {}, .role = data::RowRole::kPositive, .task = task};
  append_rows(train_rows, own.held_out, own_facts, result.held_out);
  append_rows(train_rows, own.kept, own_facts, result.training);
  result.num_positive = static_cast<std::int64_t>(result.training.size());
  for (const data::RehearsalBuffer& buffer : earlier_buffers) {
    append_rehearsal(task, buffer, options, result);
  }
  const HeldOutSplit general =
      hold_out(general_rows.size(), options.calibration_ratio,
               base::seed_for(options.run_seed, {"held_out", "general", task}));
  const data::SelectedRow general_facts{.example = {}, .role = data::RowRole::kGeneral, .task = ""};
  append_rows(general_rows, general.held_out, general_facts, result.held_out);
  append_rows(general_rows, general.kept, general_facts, result.training);
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
