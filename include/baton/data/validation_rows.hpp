#pragma once
// Rows of a task that no learner of it learns from, so that its loss can be watched on rows it has
// not seen (key data.val_size). Pure: the same rows on every rank and in every command.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

/// Below 1 a share, rounded, at least one row; from 1 on a number of rows. 0: none.
struct ValidationSize {
  double val_size = 0;
  std::uint64_t run_seed = 0;

  std::int64_t of(std::int64_t num_rows) const;
};

struct ValidationSplit {
  std::vector<Example> training;
  std::vector<Example> validation;
};

/// Drawn with a seed of the task's own; both parts in the order of the file. kData where no row is
/// left to learn from.
ValidationSplit split_validation(const std::string& task,
                                 std::span<const Example> rows,
                                 const ValidationSize& size);

}  // namespace baton::data
