#include "baton/method/task_buffer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "k_means.hpp"

namespace baton::method {

namespace {

void check(const std::string& task, std::span<const data::Example> rows, const BufferSize& size) {
  if (!(size.ratio > 0 && size.ratio <= 1)) {
    throw base::Error(base::ErrorKind::kUsage, "a ratio is out of range",
                      {.where = "config key method.buffer_ratio",
                       .expected = "above 0, at most 1",
                       .found = fmt::format("{}", size.ratio),
                       .fix = "set a ratio in this range"});
  }
  if (rows.empty()) {
    throw base::Error(base::ErrorKind::kData, "a task without train rows has no rehearsal buffer",
                      {.where = "task " + task,
                       .expected = "at least one train row",
                       .found = "none",
                       .fix = "check the task's files"});
  }
}

}  // namespace

BufferSize buffer_size(const config::MethodConfig& keys) {
  return {.ratio = keys.buffer_ratio,
          .floor = keys.buffer_floor,
          .by_clusters = keys.buffer_selection == "kmeans"};
}

std::size_t num_buffer_rows(const BufferSize& size, std::size_t num_task_rows) {
  const auto num_rows = static_cast<std::int64_t>(num_task_rows);
  const std::int64_t share = std::llround(size.ratio * static_cast<double>(num_rows));
  const auto asked =
      static_cast<std::size_t>(std::min(num_rows, std::max({std::int64_t{1}, size.floor, share})));
  std::size_t kept = asked;
  if (size.later) {
    // What an expert would learn of it, if it held nothing out.
    ReconstructionOptions whole = *size.later;
    whole.calibration_ratio = 0;
    const std::size_t wanted = negatives_of(whole, asked, num_rows);
    while (kept < num_task_rows && negatives_of(*size.later, kept, num_rows) < wanted) {
      ++kept;
    }
  }
  return kept;
}

bool chooses_by_features(const BufferSize& size, std::size_t num_task_rows) {
  return size.by_clusters && num_buffer_rows(size, num_task_rows) < num_task_rows;
}

data::RehearsalBuffer make_buffer(const std::string& task,
                                  std::span<const data::Example> train_rows,
                                  const BufferSize& size,
                                  std::uint64_t run_seed,
                                  std::span<const std::vector<double>> features) {
  check(task, train_rows, size);
  data::RehearsalBuffer buffer;
  buffer.task = task;
  buffer.num_task_rows = static_cast<std::int64_t>(train_rows.size());
  buffer.ratio = size.ratio;
  buffer.seed = base::seed_for(run_seed, {"buffer", task});
  buffer.selection = size.by_clusters ? "kmeans" : "random";
  const std::size_t count = num_buffer_rows(size, train_rows.size());
  std::vector<std::size_t> chosen;
  if (size.by_clusters && !features.empty()) {
    BATON_ASSERT(features.size() == train_rows.size(), "features of other rows");
    const Clusters clusters =
        k_means(features, first_centres(features, kBufferClusters,
                                        base::seed_for(run_seed, {"buffer", task, "clusters"})));
    chosen = rows_near_centres(clusters, count);
  } else {
    chosen = base::Random(buffer.seed).sample_indices(train_rows.size(), count);
  }
  for (const std::size_t index : chosen) {
    buffer.rows.push_back(train_rows[index]);
  }
  return buffer;
}

}  // namespace baton::method
