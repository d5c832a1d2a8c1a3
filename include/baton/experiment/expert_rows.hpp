#pragma once
// A run's experts before they are trained: what every rank knows of each task, and the rows of the
// expert that a group has in hand. Only facts of all tasks are kept; rows lie on disk until their
// expert's turn, so that a rank holds those of one expert. Nothing here knows a communicator.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/data/training_row.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/method/see_rows.hpp"

namespace baton::experiment {

/// Of some training rows, in one epoch.
struct RowSums {
  std::int64_t num_rows = 0;
  std::int64_t num_tokens = 0;
  std::int64_t longest_row = 0;     // tokens
  std::int64_t longest_target = 0;  // tokens that have a label
  std::int64_t text_bytes = 0;      // before they were encoded

  RowSums& operator+=(const RowSums& other);
};

/// One task without its rows.
struct TaskFacts {
  std::string name;
  std::string rows_fingerprint;  // "": the files are gone, buffer and expert are there
  std::string buffer_fingerprint;
  RowSums own;              // as positives of its expert
  RowSums negatives;        // that it gives each later expert
  bool cross_fits = false;  // see method::Reconstruction
};

/// All that is common to a run's experts; the same on every rank.
struct RunFacts {
  std::vector<TaskFacts> tasks;
  std::vector<data::Example> general;  // rows that every expert passes on
  std::string general_fingerprint;     // "" without rows
  RowSums general_sums;

  /// Of the training set of expert `index`.
  RowSums sums_of(std::size_t index) const;
};

/// The general rows of the config: a sample of the rows that come with Baton or of the train rows of
/// its `general` tasks; with accept_threshold = auto some more than are trained on.
std::vector<data::Example> read_general_rows(const config::Config& config);

/// What the config says of draws and held-out rows.
method::BufferSize buffer_size(const config::Config& config);
method::ReconstructionOptions reconstruction_options(const config::Config& config);

/// The encoder of a run's training rows. kUsage when the longest prompt that data.cutoff_len allows
/// and the longest answer do not fit into the model's positions together.
data::RowEncoder make_row_encoder(const config::Config& config,
                                  const Workspace& workspace,
                                  const weights::DecoderConfig& sizes);

/// The text rows of one expert; general rows are common to all.
struct ExpertRows {
  std::size_t task_index = 0;
  std::string task;
  std::vector<data::Example> own;
  std::vector<data::RehearsalBuffer> earlier;  // by task
};

/// One expert's encoded rows, ready for a trainer.
struct PreparedExpert {
  std::size_t task_index = 0;
  std::vector<data::TrainingRow> training;
  std::vector<data::TrainingRow> held_out;
  bool cross_fits = false;  // see method::Reconstruction
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<std::string> warnings;
};

/// Rows that do not fit are left out, counted and warned of; kData when no positive is left.
PreparedExpert prepare_expert(const config::Config& config,
                              const data::RowEncoder& encoder,
                              const ExpertRows& rows,
                              const std::vector<data::Example>& general_rows);

}  // namespace baton::experiment
