#pragma once
// Progress of all groups at world rank 0: group leaders send short control messages, rank 0 shows them. Never
// blocks training.

#include <cstdint>
#include <functional>
#include <string>

#include "baton/comm/process_world.hpp"
#include "baton/config/progress.hpp"

namespace baton::app {

struct ProgressMessage {
  enum class Kind { kStep, kFinished, kGroupDone };
  Kind kind = Kind::kStep;
  int group = 0;
  std::string expert;
  std::int64_t step = 0;
  std::int64_t total = 0;
  double loss = 0;
  double tokens_per_second = 0;
  double seconds = 0;    // kFinished: of this expert
  double threshold = 0;  // kFinished
  std::int64_t num_ranks = 0;
};

class ProgressHub {
 public:
  /// `on_finished` is called on rank 0 for each finished expert.
  ProgressHub(comm::ProcessWorld& world,
              std::int64_t total_steps,
              std::function<void(const ProgressMessage&)> on_finished);

  /// From a group's leader. Steps are sent at most twice a second, and always the last one.
  void tell(const ProgressMessage& message);
  /// On rank 0: takes what has arrived. Elsewhere: nothing.
  void poll();
  /// On rank 0: until this many groups said kGroupDone.
  void wait_for_groups(int num_groups);

 private:
  void handle(const ProgressMessage& message);

  comm::ProcessWorld& world_;
  std::function<void(const ProgressMessage&)> on_finished_;
  config::TerminalFacts terminal_;
  config::Progress progress_;
  double last_sent_ = -1e9;
  int groups_done_ = 0;
};

}  // namespace baton::app
