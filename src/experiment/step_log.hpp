#pragma once
// An expert's log, RUN/logs/NN-task.jsonl: one line a logged update, a save, or updates left out. Its
// group's leader writes it.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "baton/base/json.hpp"
#include "baton/train/trainer.hpp"

namespace baton::experiment {

class StepLog {
 public:
  /// Where training goes on after update `first_step`, what an earlier attempt wrote of later ones is
  /// taken out; with 0 the log begins anew.
  StepLog(const std::filesystem::path& path, std::int64_t first_step);

  /// By any thread: saves are noted by theirs. kStorage when the file cannot be written.
  void write(const base::OrderedJson& line);

  void write_update(const train::StepRecord& record,
                    double seconds,
                    const std::vector<double>& rank_seconds);
  /// Updates `first` to `last`, counted from 0.
  void write_left_out(std::int64_t first, std::int64_t last, const std::string& why);

 private:
  std::filesystem::path path_;
  std::mutex mutex_;
  std::ofstream file_;
};

}  // namespace baton::experiment
