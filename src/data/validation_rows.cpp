#include "baton/data/validation_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::data {

std::int64_t ValidationSize::of(std::int64_t num_rows) const {
  if (val_size <= 0 || num_rows == 0) {
    return 0;
  }
  return val_size >= 1
             ? static_cast<std::int64_t>(val_size)
             : std::max<std::int64_t>(1, std::llround(val_size * static_cast<double>(num_rows)));
}

ValidationSplit split_validation(const std::string& task,
                                 std::span<const Example> rows,
                                 const ValidationSize& size) {
  const auto num_rows = static_cast<std::int64_t>(rows.size());
  const std::int64_t count = size.of(num_rows);
  if (count >= num_rows) {
    throw base::Error(base::ErrorKind::kData, "the validation rows leave a task none to learn from",
                      {.where = "task " + task,
                       .expected = fmt::format("data.val_size of at most {} rows", num_rows - 1),
                       .found = fmt::format("{} of {} train rows", count, num_rows),
                       .fix = "lower data.val_size, or give the task more rows"});
  }
  const std::vector<std::size_t> drawn =
      base::Random(base::seed_for(size.run_seed, {"validation", task}))
          .sample_indices(rows.size(), static_cast<std::size_t>(count));
  ValidationSplit split;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool is_drawn = std::binary_search(drawn.begin(), drawn.end(), i);
    (is_drawn ? split.validation : split.training).push_back(rows[i]);
  }
  return split;
}

}  // namespace baton::data
