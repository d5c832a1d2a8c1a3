#include "training_saves.hpp"

#include <fmt/format.h>

#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/work/heartbeat.hpp"
#include "baton/work/stop_signal.hpp"

namespace baton::experiment {

TrainingSaves::TrainingSaves(bool is_leader,
                             const SavePlan& plan,
                             const train::ExpertLearner& learner,
                             const expert::TrainingState& facts,
                             work::StopWatcher& stop_watcher)
    : plan_(plan),
      learner_(learner),
      facts_(facts),
      start_(work::steady_seconds()),
      last_save_(start_) {
  if (!is_leader) {
    return;
  }
  writer_ = std::make_unique<checkpoint::CheckpointWriter>(
      plan_.folder, learner.num_parameters(),
      [this](const checkpoint::SaveReport& report) { note_save(report); });
  at_stop_ = stop_watcher.on_stop([this] { save_at_stop(); });
}

TrainingSaves::~TrainingSaves() = default;

// In the writer's thread.
void TrainingSaves::note_save(const checkpoint::SaveReport& report) const {
  base::log_info(
      "save",
      fmt::format(
          "{}: state after update {} saved; training waited {:.1f} ms, durable after {:.0f} ms",
          facts_.task, report.step, report.copy_seconds * 1e3, report.write_seconds * 1e3));
  if (plan_.note) {
    base::OrderedJson line;
    line["saved_step"] = report.step;
    line["copy_seconds"] = report.copy_seconds;
    line["write_seconds"] = report.write_seconds;
    if (work::stop_requested()) {
      line["seconds_since_stop"] = work::seconds_since_stop();
    }
    plan_.note(line);
  }
}

double TrainingSaves::seconds() const {
  return facts_.seconds + work::steady_seconds() - start_;
}

void TrainingSaves::fill(expert::TrainingState& state) const {
  learner_.copy_state(state);
  state.task = facts_.task;
  state.identity = facts_.identity;
  state.seconds = seconds();
  state.threads_per_rank = facts_.threads_per_rank;
}

void TrainingSaves::after_update() noexcept {
  if (!writer_) {
    return;
  }
  const bool by_steps = plan_.save_steps > 0 && learner_.num_steps() % plan_.save_steps == 0;
  const bool by_time = plan_.save_seconds > 0 && work::steady_seconds() - last_save_ >=
                                                     static_cast<double>(plan_.save_seconds);
  if (!by_steps && !by_time) {
    return;
  }
  try {
    const auto save = [this] {
      return writer_->save([this](expert::TrainingState& state) { fill(state); });
    };
    bool is_begun = save();
    // A loss of so many updates at most was asked for: one that the disk cannot keep is waited for.
    // A save by time is tried again after the next update.
    if (!is_begun && by_steps) {
      wait_for_save_before();
      is_begun = save();
    }
    if (is_begun) {
      last_save_ = work::steady_seconds();
    }
  } catch (...) {
    error_ = std::current_exception();
  }
}

void TrainingSaves::wait_for_save_before() {
  const double start = work::steady_seconds();
  writer_->wait();
  if (!has_waited_) {
    base::log_warning(
        "save",
        fmt::format("{}: training waited {:.0f} ms for the save before: a save takes longer than "
                    "train.save_steps = {} updates; raise it (said once)",
                    facts_.task, (work::steady_seconds() - start) * 1e3, plan_.save_steps));
  }
  has_waited_ = true;
}

void TrainingSaves::check() {
  if (error_) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

void TrainingSaves::save_at_stop() {
  writer_->save_and_wait([this](expert::TrainingState& state) { fill(state); });
  base::log_info(
      "save",
      fmt::format("{}: the state after update {} is safe, {:.2f} s after the stop was asked for",
                  facts_.task, writer_->newest_saved_step(), work::seconds_since_stop()));
}

void TrainingSaves::finish_stop() {
  if (!writer_) {
    return;
  }
  at_stop_.reset();  // waits for its save
  if (writer_->newest_saved_step() != learner_.num_steps()) {
    save_at_stop();
  }
}

void TrainingSaves::finish() {
  if (!writer_) {
    return;
  }
  at_stop_.reset();
  check();
  writer_->wait();
}

}  // namespace baton::experiment
