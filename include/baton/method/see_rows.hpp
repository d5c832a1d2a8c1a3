#pragma once
// The reconstructed training set of one expert (SEE, arXiv 2504.06664, step 1): every row of the
// task as a positive, rows of earlier tasks' buffers and general rows as negatives. Pure; drawn
// once per expert from seeds of its own.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "baton/data/example.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/data/training_row.hpp"

namespace baton::method {

struct ReconstructionOptions {
  double negative_ratio = 0.25;      // tau
  std::int64_t negative_floor = 0;   // rows of each buffer, at least, as far as it has them
  std::int64_t general_samples = 0;  // general rows to train on, at most; 0 = all
  /// In [0, 1): share held out of positives, of each buffer and of the general rows: rounded, at
  /// least one row of a list of four or more; 0 = nothing.
  double calibration_ratio = 0;
  /// Prompts of an own half and a foreign one (instruction, input), as a share of the own rows; the
  /// foreign halves are those of the general rows that come with Baton and of the buffers.
  double mismatch_ratio = 0;
  std::uint64_t run_seed = 0;
};

struct Reconstruction {
  std::vector<data::SelectedRow>
      training;  // positives in file order, negatives by name of their task, general
                 // rows, mismatches
  std::vector<data::SelectedRow> held_out;  // in the same order; never among `training`
  /// Too few own rows could be held out: all train, and the threshold comes from two experts that
  /// are trained on one fold each and asked about the other.
  bool cross_fits = false;
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<std::string> warnings;  // a buffer smaller than tau asks for; no negatives at all
};

/// Whether an expert of so many own rows cross-fits: fewer than eight could be held out.
bool cross_fits(const ReconstructionOptions& options, std::size_t num_own_rows);

/// Negatives of task j are round(tau x |D_j|) rows (at least one when tau > 0, at least the floor)
/// of those rows of B_j that are not held out, or all of them; a warning where that is less than
/// the ratio asks for. Of buffers and general rows also what training does not want is held out, of
/// a buffer up to 16 rows. Every draw has a seed of its own, named by
/// this task and the list drawn from: the result does not change with what other experts draw or
/// which tasks come later.
Reconstruction reconstruct(const std::string& task,
                           std::span<const data::Example> train_rows,
                           std::span<const data::RehearsalBuffer> earlier_buffers,
                           std::span<const data::Example> general_rows,
                           const ReconstructionOptions& options);

/// Of the rows of a buffer of `num_rows` of so large a task, those that an expert learns.
std::size_t negatives_of(const ReconstructionOptions& options,
                         std::size_t num_rows,
                         std::int64_t num_task_rows);

/// The general rows of a run: a uniform sample of `count` rows in file order; all of them when
/// count is 0 or at least their number. The same rows serve every expert.
std::vector<data::Example> choose_general(std::span<const data::Example> rows,
                                          std::int64_t count,
                                          std::uint64_t run_seed);

}  // namespace baton::method
