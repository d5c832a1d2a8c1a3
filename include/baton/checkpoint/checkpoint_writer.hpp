#pragma once
// Saves training state while training goes on: the caller copies into a spare buffer, a thread
// writes the generation. The group's leader has one for each expert in training.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "baton/expert/training_state.hpp"

namespace baton::checkpoint {

struct SaveReport {
  std::filesystem::path path;
  std::int64_t step = 0;
  double copy_seconds = 0;   // what the training loop waited
  double write_seconds = 0;  // in the thread, until everything was durable
};

class CheckpointWriter {
 public:
  /// `num_parameters`: sizes of the buffers, touched here so that a save does not pay for it.
  /// `on_saved` is called in the thread after each save; it may be empty.
  CheckpointWriter(std::filesystem::path folder,
                   std::int64_t num_parameters,
                   std::function<void(const SaveReport&)> on_saved);
  ~CheckpointWriter();  // waits for a save under way; an error nobody asked for is logged
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// `fill` writes all of the state into the buffer it is given: its vectors have their sizes
  /// already, the rest is left from an earlier save. Returns false, and does nothing, while the save
  /// before is still being written. The error of an earlier save is thrown here.
  bool save(const std::function<void(expert::TrainingState&)>& fill);
  /// Like save, but waits for the one before it, and returns when this one is durable. May be
  /// called by another thread than save's; the two take turns.
  void save_and_wait(const std::function<void(expert::TrainingState&)>& fill);
  /// Waits for the save under way, and throws its error.
  void wait();
  /// The step of the newest durable save of this object, -1 for none.
  std::int64_t newest_saved_step() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace baton::checkpoint
