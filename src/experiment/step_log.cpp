#include "step_log.hpp"

#include <cmath>
#include <sstream>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/device/host.hpp"

namespace baton::experiment {

namespace {

constexpr const char* kValidationLoss = "eval_loss";
constexpr const char* kBestStep = "best_step";
constexpr const char* kTime = "time";

// The number of updates that a line stands after.
std::int64_t step_of(const base::Json& line) {
  return line.value(line.contains("step") ? "step" : "saved_step", std::int64_t{0});
}

// In whole milliseconds.
double seconds_since_1970() {
  return std::round(device::utc_seconds() * 1e3) / 1e3;
}

// What of a line TensorBoard shows, under the names that transformers gives them.
std::vector<run::Scalar> scalars_of(const base::Json& line) {
  std::vector<run::Scalar> scalars;
  const auto add = [&](const char* key, const char* tag) {
    if (const auto found = line.find(key); found != line.end() && found->is_number()) {
      scalars.push_back({tag, found->get<double>()});
    }
  };
  add("loss", "train/loss");
  add("learning_rate", "train/learning_rate");
  add("grad_norm", "train/grad_norm");
  add(kValidationLoss, "eval/loss");
  const double seconds = line.value("seconds", 0.0);
  if (line.contains("tokens") && seconds > 0) {
    scalars.push_back({"train/tokens_per_second", line.at("tokens").get<double>() / seconds});
  }
  return scalars;
}

void show(run::TensorboardFile& board, const base::Json& line) {
  if (const std::vector<run::Scalar> scalars = scalars_of(line); !scalars.empty()) {
    board.write(step_of(line), line.value(kTime, 0.0), scalars);
  }
}

}  // namespace

StepLog::StepLog(const std::filesystem::path& path, const LogStart& start) : path_(path) {
  std::string kept;
  if (start.step > 0 && std::filesystem::exists(path)) {
    std::istringstream old(base::read_file(path, base::ErrorKind::kModel));
    for (std::string line; std::getline(old, line);) {
      const base::Json json = base::Json::parse(line, nullptr, false);
      if (!json.is_object() || json.contains(kBestStep)) {
        continue;  // a line that was cut, or what training will say again at its end
      }
      if (step_of(json) <= (json.contains(kValidationLoss) ? start.validated_step : start.step)) {
        kept += line + '\n';
        kept_.push_back(json);
      }
    }
  }
  base::write_file_atomically(path, kept);
  file_.open(path, std::ios::app);
}

void StepLog::mirror_to(const std::filesystem::path& folder) {
  const std::lock_guard lock(mutex_);
  board_.emplace(folder, seconds_since_1970());
  for (const base::Json& line : kept_) {
    show(*board_, line);
  }
  kept_.clear();
}

void StepLog::write(base::OrderedJson line) {
  const std::lock_guard lock(mutex_);
  line[kTime] = seconds_since_1970();
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) {
    throw base::Error(base::ErrorKind::kStorage, "cannot write the training log",
                      {.where = path_.string(),
                       .fix = "free space or raise the quota, then run the same command again"});
  }
  if (board_) {
    show(*board_, base::Json(line));
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

void StepLog::write_validation(std::int64_t step,
                               double loss,
                               std::int64_t num_rows,
                               double seconds) {
  base::OrderedJson line;
  line["step"] = step;
  line[kValidationLoss] = loss;
  line["eval_rows"] = num_rows;
  line["seconds"] = seconds;
  write(line);
}

void StepLog::write_kept(std::int64_t step,
                         std::int64_t num_updates,
                         const expert::ValidationFacts& facts) {
  base::OrderedJson line;
  line["step"] = step;
  line[kBestStep] = facts.best_step;
  line["best_eval_loss"] = facts.best_loss;
  line["stopped_early"] = step < num_updates;
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
