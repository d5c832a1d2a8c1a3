#pragma once
// A run's experts before they are trained: task rows, rehearsal buffers, reconstructed training
// sets. Everything here is the same on every rank and knows no communicator.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "baton/config/config.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/data/training_row.hpp"
#include "baton/method/see_rows.hpp"

namespace baton::experiment {

/// The rows of one task and the rows rehearsed from it later.
struct TaskRows {
  std::string name;
  std::optional<std::vector<data::Example>>
      train;  // nothing: the files are gone, buffer and expert are there
  data::RehearsalBuffer buffer;
};

/// The general rows of the config: a sample of the rows that come with Baton or of the train rows of
/// its `general` tasks; with accept_threshold = auto some more than are trained on.
std::vector<data::Example> read_general_rows(const config::Config& config);

method::BufferSize buffer_size(const config::Config& config);
method::ReconstructionOptions reconstruction_options(const config::Config& config);

/// One expert's encoded rows, ready for a trainer.
struct PreparedExpert {
  std::size_t task_index = 0;
  std::vector<data::TrainingRow> training;
  std::vector<data::TrainingRow> held_out;
  bool cross_fits = false;  // see method::Reconstruction
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<std::string> warnings;
  std::int64_t num_tokens() const;  // of one epoch
};

PreparedExpert prepare_expert(const config::Config& config,
                              const data::RowEncoder& encoder,
                              const std::vector<TaskRows>& tasks,
                              std::size_t index,
                              const std::vector<data::Example>& general_rows);

}  // namespace baton::experiment
