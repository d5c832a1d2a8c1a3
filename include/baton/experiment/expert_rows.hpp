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
#include "baton/data/validation_rows.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/method/method.hpp"

namespace baton::experiment {

/// Of some training rows, in one epoch.
struct RowSums {
  std::int64_t num_rows = 0;
  std::int64_t num_tokens = 0;
  std::int64_t longest_row = 0;     // tokens
  std::int64_t longest_target = 0;  // tokens that have a label
  std::int64_t text_bytes = 0;      // before they were encoded

  RowSums& operator+=(const RowSums& other);

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("num_rows", self.num_rows);
    visit("num_tokens", self.num_tokens);
    visit("longest_row", self.longest_row);
    visit("longest_target", self.longest_target);
    visit("text_bytes", self.text_bytes);
  }
};

/// One task without its rows.
struct TaskFacts {
  std::string name;
  std::string rows_fingerprint;  // "": the files are gone, buffer and expert are there
  std::string buffer_fingerprint;
  std::int64_t num_rows = 0;  // train rows, without those for validation; 0: the files are gone
  RowSums own;                // in the training set of a learner that has it for its own
  RowSums rehearsed;          // what its buffer gives each later learner

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("name", self.name);
    visit("rows_fingerprint", self.rows_fingerprint);
    visit("buffer_fingerprint", self.buffer_fingerprint);
    visit("num_rows", self.num_rows);
    visit("own", self.own);
    visit("rehearsed", self.rehearsed);
  }
};

/// All that is common to a run's experts; the same on every rank.
struct RunFacts {
  std::vector<TaskFacts> tasks;
  std::vector<data::Example> general;  // rows that every expert passes on
  std::string general_fingerprint;     // "" without rows
  RowSums general_sums;

  /// Of a learner's training set.
  RowSums sums_of(const method::LearnerPlan& learner) const;
  /// What training it costs, in trainings without what follows them.
  double cost_factor_of(const method::LearnerPlan& learner, const method::Method& method) const;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tasks", self.tasks);
    visit("general", self.general);
    visit("general_fingerprint", self.general_fingerprint);
    visit("general_sums", self.general_sums);
  }
};

/// Of the rows that come with Baton and of the config's `general` tasks those that the method uses.
std::vector<data::Example> read_general_rows(const config::Config& config,
                                             const method::Method& method);

/// The encoder of a run's training rows. kUsage when the longest prompt that data.cutoff_len allows
/// and the longest answer do not fit into the model's positions together.
data::RowEncoder make_row_encoder(const config::Config& config,
                                  const Workspace& workspace,
                                  const weights::DecoderConfig& sizes);

/// What makes text rows into those that a learner trains on. All of it outlives this.
struct RowMaking {
  const method::Method& method;
  expert::Indicators indicators;  // of a method that uses them
  const data::RowEncoder& encoder;
  std::int64_t cutoff_len = 0;           // the key, for warnings
  data::ValidationSize validation = {};  // what is held out of every task's own rows
};

data::ValidationSize validation_size_of(const config::Config& config);

/// The train rows of one task.
struct OwnRows {
  std::string task;
  std::vector<data::Example> rows;
};

/// The text rows of one learner; general rows are common to all.
struct ExpertRows {
  method::LearnerPlan plan;
  std::string task;                            // at its position
  std::vector<OwnRows> own;                    // by plan.own_tasks
  std::vector<data::RehearsalBuffer> earlier;  // by plan.buffers
};

/// One learner's encoded rows, ready for a trainer.
struct PreparedExpert {
  method::LearnerPlan plan;
  std::vector<data::TrainingRow> training;
  std::vector<data::TrainingRow> held_out;
  std::vector<data::TrainingRow> validation;  // own ones, in neither of the two
  bool cross_fits = false;                    // see method::TrainingSet
  std::int64_t num_positive = 0;
  std::int64_t num_negative = 0;
  std::vector<std::string> warnings;
};

/// Rows that do not fit are left out, counted and warned of; kData when no positive is left,
/// or none to validate on where some were asked for.
PreparedExpert prepare_expert(const RowMaking& making,
                              const ExpertRows& rows,
                              const std::vector<data::Example>& general_rows);

}  // namespace baton::experiment
