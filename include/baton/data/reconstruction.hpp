#pragma once
// The reconstructed training set of one expert (SEE, arXiv 2504.06664, step 1): every row of the task as a
// positive, rows of earlier tasks' buffers and general rows as negatives. Pure; drawn once per expert from
// seeds of its own.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "baton/data/example.hpp"
#include "baton/data/training_row.hpp"

namespace baton::data {

/// Rehearsal rows of one task; made once from its training rows, all that later experts see of it.
struct RehearsalBuffer {
  std::string task;
  std::int64_t num_task_rows = 0;  // |D_j|
  double ratio = 0;
  std::uint64_t seed = 0;
  std::string selection = "random";
  std::vector<Example> rows;

  /// SHA-256 over everything above that later experts can see.
  std::string fingerprint() const;
};

/// A uniform sample of round(ratio x |D|) rows (at least one), in file order.
RehearsalBuffer make_buffer(const std::string& task,
                            std::span<const Example> train_rows,
                            double ratio,
                            std::uint64_t run_seed);

struct SelectedRow {
  Example example;
  RowRole role = RowRole::kPositive;
  std::string task;
};

struct ReconstructionOptions {
  double negative_ratio = 0.25;     // tau
  double calibration_ratio = 0;     // share held out of positives, buffers and general rows; 0 = nothing
  std::uint64_t run_seed = 0;
};

struct Reconstruction {
  std::vector<SelectedRow> training;   // positives in file order, then negatives by task, then general rows
  std::vector<SelectedRow> held_out;
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<std::string> warnings;   // a buffer smaller than tau asks for; no negatives at all
};

Reconstruction reconstruct(const std::string& task,
                           std::span<const Example> train_rows,
                           std::span<const RehearsalBuffer> earlier_buffers,
                           std::span<const Example> general_rows,
                           const ReconstructionOptions& options);

}  // namespace baton::data
