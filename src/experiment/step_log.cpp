#include "step_log.hpp"

#include <sstream>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"

namespace baton::experiment {

StepLog::StepLog(const std::filesystem::path& path, std::int64_t first_step) : path_(path) {
  std::string kept;
  if (first_step > 0 && std::filesystem::exists(path)) {
    std::istringstream old(base::read_file(path, base::ErrorKind::kModel));
    for (std::string line; std::getline(old, line);) {
      const base::Json json = base::Json::parse(line, nullptr, false);
      if (json.is_object() && json.value(json.contains("step") ? "step" : "saved_step",
                                         std::int64_t{0}) <= first_step) {
        kept += line + '\n';
      }
    }
  }
  base::write_file_atomically(path, kept);
  file_.open(path, std::ios::app);
}

void StepLog::write(const base::OrderedJson& line) {
  const std::lock_guard lock(mutex_);
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) {
    throw base::Error(base::ErrorKind::kStorage, "cannot write the training log",
                      {.where = path_.string(),
                       .fix = "free space or raise the quota, then run the same command again"});
  }
}

void StepLog::write_update(const train::StepRecord& record,
                           double seconds,
                           const std::vector<double>& rank_seconds) {
  base::OrderedJson line;
  line["step"] = record.step;
  line["loss"] = record.loss;
  line["grad_norm"] = record.gradient_norm;
  line["learning_rate"] = record.learning_rate;
  line["rows"] = record.num_rows;
  line["tokens"] = record.num_tokens;
  line["target_tokens"] = record.num_target_tokens;
  line["seconds"] = seconds;
  line["rank_seconds"] = rank_seconds;
  write(line);
}

void StepLog::write_left_out(std::int64_t first, std::int64_t last, const std::string& why) {
  base::OrderedJson line;
  line["step"] = first;
  line["left_out"] = {first + 1, last + 1};
  line["why"] = why;
  write(line);
}

}  // namespace baton::experiment
