#pragma once
// What a person sees of all groups at world rank 0 while experts train. Used in the coordinator's
// thread.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/coordinator/coordinator.hpp"
#include "progress.hpp"

namespace baton::app {

class ProgressBoard {
 public:
  /// `names` of the items; `total_steps` over all of them.
  ProgressBoard(std::vector<std::string> names, std::int64_t total_steps);

  void show(int group, const coordinator::Progress& progress);
  /// Of the only name, which says what is counted: how many are done, of how many.
  void show_count(std::int64_t num_done, std::int64_t num);
  void finish(int group, int item, double seconds);
  /// Before other text is written.
  void clear() { progress_.clear(); }

 private:
  std::vector<std::string> names_;
  app::TerminalFacts terminal_;
  app::Progress progress_;
};

}  // namespace baton::app
