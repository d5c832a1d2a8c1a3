#include "progress_board.hpp"

#include <iostream>
#include <utility>

namespace baton::app {

ProgressBoard::ProgressBoard(std::vector<std::string> names, std::int64_t total_steps)
    : names_(std::move(names)),
      terminal_(app::stderr_facts()),
      progress_(terminal_.is_terminal, std::cerr, terminal_.width) {
  progress_.set_total_steps(total_steps);
  if (terminal_.may_colour) {
    progress_.use_colour();
  }
}

void ProgressBoard::show(int group, const coordinator::Progress& progress) {
  progress_.update({.group = group,
                    .expert = names_[static_cast<std::size_t>(progress.item)],
                    .step = progress.step,
                    .total = progress.num_steps,
                    .loss = progress.loss,
                    .tokens_per_second = progress.tokens_per_second,
                    .validation_loss = progress.validation_loss});
}

void ProgressBoard::show_count(std::int64_t num_done, std::int64_t num) {
  progress_.update({.group = 0, .expert = names_.front(), .step = num_done, .total = num});
}

void ProgressBoard::finish(int group, int item, double seconds) {
  progress_.finish(group, names_[static_cast<std::size_t>(item)], seconds);
  progress_.clear();
}

}  // namespace baton::app
