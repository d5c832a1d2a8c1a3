#pragma once
// What a person sees while experts train: on a terminal one bar per group and one for the whole
// work with the time left, redrawn in place; elsewhere plain lines, at most one round of them every
// few seconds and one at each expert's end. Used by rank 0 alone. Time left = time so far x steps
// to go / steps done, over the work of all groups.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace baton::app {

/// One group's expert in training; or, without a loss, things of one kind being counted ("queries").
struct GroupProgress {
  int group = 0;
  std::string expert;
  std::int64_t step = 0;
  std::int64_t total = 0;  // steps of this expert
  std::optional<double> loss = {};
  double tokens_per_second = 0;                // 0 = unknown
  std::optional<double> validation_loss = {};  // the newest
};

struct ProgressState {
  std::vector<GroupProgress> groups;  // by group number
  std::int64_t steps_done = 0;        // of all experts, finished ones included
  std::int64_t steps_total = 0;       // 0 = unknown: no bar, no time left
  double elapsed_seconds = 0;
  double seconds_left = -1;  // below 0 = unknown
};

/// "[=====>    ]" of `width` cells between the brackets; share is clamped to [0, 1].
std::string render_bar(double share, int width);

/// One line a group and one for all (one alone for things counted), each at most `width` columns (>= 20). No control characters.
std::vector<std::string> render_terminal(const ProgressState& state, int width);

/// One line for a group in a log: "group 0 qa step 20/60 (33 %), loss 1.234, 512 tokens/s, 2 min 05
/// s left", with validations "loss 1.234 (validation 1.345)"; of things counted "queries 20/60
/// (33 %), 2 min 05 s left".
std::string render_plain(const ProgressState& state, const GroupProgress& group);

/// The line with its bar in colour.
std::string colour_bar(const std::string& line);

/// What stderr is, from the descriptor and the environment (NO_COLOR, TERM, COLUMNS).
struct TerminalFacts {
  bool is_terminal = false;
  bool may_colour = false;
  int width = 80;
};
TerminalFacts stderr_facts();

class Progress {
 public:
  using Clock = std::function<double()>;  // seconds, never backwards

  /// `out` must outlive this object. Without a clock: the monotonic one.
  Progress(bool is_terminal, std::ostream& out, int width = 80, Clock clock = {});

  /// Steps of all experts to train in this call, where they are known beforehand.
  void set_total_steps(std::int64_t num_steps);

  /// Bars are drawn in colour from now on.
  void use_colour() { has_colour_ = true; }

  /// A group stands at `step` of its expert; the first call for an expert names where it starts
  /// from.
  void update(const GroupProgress& progress);

  /// A group's expert is done: always one plain line that stays.
  void finish(int group, const std::string& expert, double seconds);

  /// Takes the bars away, so that other text can be written; the next update draws them again.
  void clear();

 private:
  struct Work {
    GroupProgress progress;
    std::int64_t first_step = 0;
  };

  ProgressState state() const;
  void draw();

  bool is_terminal_;
  std::ostream& out_;
  int width_;
  Clock clock_;
  double start_;
  double last_shown_;
  bool was_shown_ = false;
  std::map<int, Work> groups_;
  std::int64_t finished_steps_ = 0;    // of experts that are done
  std::int64_t finished_advance_ = 0;  // of these, done since the start of this call
  std::int64_t total_steps_ = 0;
  std::size_t num_lines_drawn_ = 0;
  bool has_colour_ = false;
};

}  // namespace baton::app
