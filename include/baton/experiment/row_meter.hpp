#pragma once
// How many rows and tokens a task gives to its own expert and to each later one, without keeping
// them: for the plan of a run. Rows are counted as they are drawn; tokens of all rows or, where the
// plan only has to order the experts, of evenly spread ones.

#include <cstddef>
#include <span>
#include <string>

#include "baton/experiment/expert_rows.hpp"

namespace baton::experiment {

class RowMeter {
 public:
  /// Encodes at most `max_encoded` rows of a list and takes the others to be like them; 0: all.
  explicit RowMeter(const RowMaking& making, std::size_t max_encoded = 0);

  const method::Method& method() const { return making_.method; }

  /// Of a task's own rows, as they stand in its learner's training set.
  RowSums own(const std::string& task, std::span<const data::Example> rows) const;
  /// Of what a task's buffer gives to each later learner.
  RowSums rehearsed(const data::RehearsalBuffer& buffer) const;
  /// Of the general rows in each learner's training set.
  RowSums general(std::span<const data::Example> rows) const;

  /// Of a task of so many train rows those that are learnt from.
  std::int64_t num_learnt(std::int64_t num_rows) const {
    return num_rows - making_.validation.of(num_rows);
  }

 private:
  RowSums measure(std::span<const data::Example> all, method::LearnerRows rows) const;

  RowMaking making_;
  std::size_t max_encoded_;
};

/// Bytes a rank holds of an expert's rows at the most: their text while they are encoded, and the
/// encoded rows.
std::int64_t bytes_held(const RowSums& sums);

}  // namespace baton::experiment
