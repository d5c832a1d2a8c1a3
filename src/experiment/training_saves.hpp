#pragma once
// When an expert's training state is saved: every so many updates or seconds, and at once when a
// stop is asked for. On the group's leader it writes; on the other ranks it does nothing, for all
// have the same state.

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>

#include "baton/base/json.hpp"
#include "baton/checkpoint/checkpoint_writer.hpp"
#include "baton/expert/training_state.hpp"
#include "baton/train/expert_learner.hpp"
#include "baton/work/stop_watcher.hpp"

namespace baton::experiment {

struct SavePlan {
  std::filesystem::path folder;   // of the expert's generations
  std::int64_t save_steps = 0;    // 0: not by updates
  std::int64_t save_seconds = 0;  // 0: not by time
  /// Told about every save, by any thread: a line for the expert's log. May be empty.
  std::function<void(const base::OrderedJson&)> note = {};
};

class TrainingSaves {
 public:
  /// `facts` is a state with task, identity and the seconds of earlier attempts set; its arrays are
  /// ignored. The learner must outlive this object.
  TrainingSaves(bool is_leader,
                const SavePlan& plan,
                const train::ExpertLearner& learner,
                const expert::TrainingState& facts,
                work::StopWatcher& stop_watcher);
  ~TrainingSaves();

  /// After an update: begins a save when one is due; one due by updates waits until the save before
  /// is durable. Never throws; a failed save is thrown by check().
  void after_update() noexcept;
  /// Throws the error of a save that failed.
  void check();
  /// The group has left its work: returns when the state of the last finished update is on disk.
  void finish_stop();
  /// Training is done: waits for a save under way.
  void finish();

  double seconds() const;  // of training, earlier attempts included

 private:
  void fill(expert::TrainingState& state) const;
  void wait_for_save_before();
  void save_at_stop();
  void note_save(const checkpoint::SaveReport& report) const;

  SavePlan plan_;
  const train::ExpertLearner& learner_;
  expert::TrainingState facts_;
  double start_;
  double last_save_;
  bool has_waited_ = false;
  std::exception_ptr error_;
  std::unique_ptr<checkpoint::CheckpointWriter> writer_;      // leader
  std::unique_ptr<work::StopWatcher::Registration> at_stop_;  // leader; before the writer goes
};

}  // namespace baton::experiment
