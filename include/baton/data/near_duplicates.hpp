#pragma once
// Rows of different tasks that are nearly the same: an expert learns such a row as its own and its
// twin as foreign. Compared are the last user texts, in lower case, white space and punctuation
// aside, as sets of three words in a row: whole, and without what all rows of their task have in
// common, so that neither one instruction nor one input makes two rows the same. Of long rows a
// sample of their triples stands for all (the smallest hashes).

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "baton/data/example.hpp"

namespace baton::data {

/// Rows of one task that are nearly rows of an earlier added one.
struct NearDuplicates {
  std::string task;
  std::string other;
  std::int64_t num_rows = 0;  // of `task`
  std::int64_t num_task_rows = 0;
  std::string first;  // where the first of them stands
};

class NearDuplicateFinder {
 public:
  /// So much of the triples of two rows together is in both.
  static constexpr double kLeastOverlap = 0.8;

  /// Compares the rows with those of all tasks added before.
  std::vector<NearDuplicates> add(const std::string& task, std::span<const Example> rows);

 private:
  using Sketch = std::vector<std::uint32_t>;  // ascending hashes
  struct Row {
    std::size_t task = 0;
    Sketch input;
    Sketch whole;
  };

  std::set<std::size_t> tasks_with(const Row& row) const;

  std::vector<std::string> tasks_;
  std::vector<Row> rows_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> rows_by_hash_;
};

}  // namespace baton::data
