#pragma once
// An expert's log, RUN/logs/NN-task.jsonl: one line a logged update, a validation, a save, or updates
// left out. Its group's leader writes it.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/json.hpp"
#include "baton/expert/training_state.hpp"
#include "baton/run/tensorboard_file.hpp"
#include "baton/train/trainer.hpp"

namespace baton::experiment {

/// Where a training goes on: after this update, and the validation after this one.
struct LogStart {
  std::int64_t step = 0;
  std::int64_t validated_step = 0;
};

class StepLog {
 public:
  /// What an earlier attempt wrote of later updates is taken out; from step 0 the log begins anew.
  StepLog(const std::filesystem::path& path, const LogStart& start);

  /// From now on the numbers of every line go to TensorBoard's event file in `folder` as well, those
  /// of the lines so far at once.
  void mirror_to(const std::filesystem::path& folder);

  /// By any thread: saves are noted by theirs. kStorage when the file cannot be written.
  void write(base::OrderedJson line);

  void write_update(const train::StepRecord& record,
                    double seconds,
                    const std::vector<double>& rank_seconds);
  /// After update `step`.
  void write_validation(std::int64_t step, double loss, std::int64_t num_rows, double seconds);
  /// At the end, after update `step` of `num_updates`: what had the lowest validation loss is kept.
  void write_kept(std::int64_t step,
                  std::int64_t num_updates,
                  const expert::ValidationFacts& facts);
  /// Updates `first` to `last`, counted from 0.
  void write_left_out(std::int64_t first, std::int64_t last, const std::string& why);

 private:
  std::filesystem::path path_;
  std::mutex mutex_;
  std::ofstream file_;
  std::vector<base::Json> kept_;  // lines of an earlier attempt
  std::optional<run::TensorboardFile> board_;
};

}  // namespace baton::experiment
