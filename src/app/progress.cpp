#include "progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ostream>

#include "baton/base/text.hpp"

namespace baton::app {
namespace {

constexpr double kSecondsBetweenRedraws = 0.1;
constexpr double kSecondsBetweenLines = 5.0;
constexpr int kSmallestWidth = 20;

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double share_of(std::int64_t done, std::int64_t total) {
  return total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0.0;
}

std::string cut(std::string line, int width) {
  line.resize(std::min(line.size(), static_cast<std::size_t>(width)));
  return line;
}

std::string speed_text(double tokens_per_second) {
  return tokens_per_second > 0 ? fmt::format("{:.0f} tokens/s", tokens_per_second) : "";
}

std::string left_text(double seconds_left) {
  return seconds_left < 0 ? "" : base::format_duration(seconds_left) + " left";
}

std::string loss_text(const GroupProgress& group) {
  if (!group.loss) {
    return "";
  }
  std::string text = fmt::format("loss {:.4g}", *group.loss);
  if (group.validation_loss) {
    text += fmt::format(" (validation {:.4g})", *group.validation_loss);
  }
  return text;
}

// Name, bar, then facts in order of worth: on a narrow terminal the last ones are cut first.
std::string bar_line(const std::string& name, double share, const std::string& facts, int width) {
  const int cells = std::clamp(width / 5, 6, 24);
  return cut(fmt::format("{:<18} {} {:3.0f}%  {}", name, render_bar(share, cells),
                         100.0 * std::clamp(share, 0.0, 1.0), facts),
             width);
}

}  // namespace

std::string render_bar(double share, int width) {
  const double known = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
  const int filled = static_cast<int>(known * width);
  std::string bar(static_cast<std::size_t>(filled), '=');
  if (filled > 0 && filled < width) {
    bar.back() = '>';
  }
  return fmt::format("[{:<{}}]", bar, width);
}

std::string colour_bar(const std::string& line) {
  const std::size_t open = line.find('[');
  const std::size_t close = line.find(']', open);
  if (close == std::string::npos) {
    return line;
  }
  return line.substr(0, open + 1) + "\x1b[32m" + line.substr(open + 1, close - open - 1) +
         "\x1b[0m" + line.substr(close);
}

std::vector<std::string> render_terminal(const ProgressState& state, int width) {
  const int columns = std::max(width, kSmallestWidth);
  if (state.groups.size() == 1 && !state.groups[0].loss) {
    const GroupProgress& counted = state.groups[0];
    std::string facts = fmt::format("{}/{}  ", counted.step, counted.total);
    facts += state.seconds_left < 0 ? "" : left_text(state.seconds_left) + "  ";
    facts += base::format_duration(state.elapsed_seconds) + " so far";
    return {bar_line(counted.expert, share_of(counted.step, counted.total), facts, columns)};
  }
  std::vector<std::string> lines;
  for (const auto& group : state.groups) {
    std::string facts = fmt::format("{}/{}", group.step, group.total);
    if (group.loss) {
      facts += "  " + loss_text(group);
    }
    if (group.tokens_per_second > 0) {
      facts += "  " + speed_text(group.tokens_per_second);
    }
    lines.push_back(bar_line(fmt::format("group {}  {}", group.group, group.expert),
                             share_of(group.step, group.total), facts, columns));
  }
  const std::string elapsed = base::format_duration(state.elapsed_seconds);
  if (state.steps_total <= 0) {
    lines.push_back(
        cut(fmt::format("{:<18} {} steps  {} so far", "all", state.steps_done, elapsed), columns));
    return lines;
  }
  std::string facts = fmt::format("{}/{}  ", state.steps_done, state.steps_total);
  facts += state.seconds_left < 0 ? "" : left_text(state.seconds_left) + "  ";
  lines.push_back(bar_line("all", share_of(state.steps_done, state.steps_total),
                           facts + elapsed + " so far", columns));
  return lines;
}

std::string render_plain(const ProgressState& state, const GroupProgress& group) {
  std::string line =
      group.loss ? fmt::format("group {} {} step ", group.group, group.expert) : group.expert + " ";
  line += fmt::format("{}/{} ({:.0f} %)", group.step, group.total,
                      100.0 * share_of(group.step, group.total));
  for (const auto& fact :
       {loss_text(group), speed_text(group.tokens_per_second), left_text(state.seconds_left)}) {
    line += fact.empty() ? "" : ", " + fact;
  }
  return line;
}

TerminalFacts stderr_facts() {
  TerminalFacts facts;
  const char* term = std::getenv("TERM");
  const bool is_dumb = term == nullptr || std::string(term) == "dumb";
  facts.is_terminal = isatty(STDERR_FILENO) == 1 && !is_dumb;
  const char* no_colour = std::getenv("NO_COLOR");
  facts.may_colour = facts.is_terminal && (no_colour == nullptr || *no_colour == '\0');
  winsize size{};
  if (facts.is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    facts.width = size.ws_col;
  }
  return facts;
}

Progress::Progress(bool is_terminal, std::ostream& out, int width, Clock clock)
    : is_terminal_(is_terminal),
      out_(out),
      width_(width),
      clock_(clock ? std::move(clock) : Clock(monotonic_seconds)),
      start_(clock_()),
      last_shown_(start_) {}

void Progress::set_total_steps(std::int64_t num_steps) {
  total_steps_ = num_steps;
}

void Progress::update(const GroupProgress& progress) {
  auto& work = groups_[progress.group];
  if (work.progress.expert != progress.expert) {
    // The first report comes after a step, or after the steps a resumed expert brought with it.
    work.first_step = std::max<std::int64_t>(progress.step - 1, 0);
  } else if (total_steps_ > 0) {  // one that stops early has fewer steps than it was to have
    total_steps_ += progress.total - work.progress.total;
  }
  work.progress = progress;
  const double interval = is_terminal_ ? kSecondsBetweenRedraws : kSecondsBetweenLines;
  const double now = clock_();
  if (was_shown_ && now - last_shown_ < interval) {
    return;
  }
  was_shown_ = true;
  last_shown_ = now;
  draw();
}

void Progress::finish(int group, const std::string& expert, double seconds) {
  clear();
  out_ << fmt::format("group {} {} done in {}", group, expert, base::format_duration(seconds));
  const auto found = groups_.find(group);
  if (found != groups_.end() && found->second.progress.expert == expert) {
    const auto& progress = found->second.progress;
    out_ << fmt::format(", {} steps", progress.total);
    if (progress.loss) {
      out_ << ", last " << loss_text(progress);
    }
    finished_steps_ += progress.total;
    finished_advance_ += progress.total - found->second.first_step;
    groups_.erase(found);
  }
  out_ << '\n';
  out_.flush();
  if (is_terminal_ && !groups_.empty()) {
    draw();
  }
}

void Progress::clear() {
  if (num_lines_drawn_ > 0) {
    out_ << fmt::format("\x1b[{}A\r\x1b[J", num_lines_drawn_);
    out_.flush();
    num_lines_drawn_ = 0;
  }
}

ProgressState Progress::state() const {
  ProgressState state;
  state.steps_done = finished_steps_;
  std::int64_t advance = finished_advance_;
  for (const auto& [number, work] : groups_) {
    state.groups.push_back(work.progress);
    state.steps_done += work.progress.step;
    advance += work.progress.step - work.first_step;
  }
  state.steps_total = total_steps_;
  state.elapsed_seconds = clock_() - start_;
  if (total_steps_ > 0 && advance > 0) {
    const auto to_go = std::max<std::int64_t>(total_steps_ - state.steps_done, 0);
    state.seconds_left =
        state.elapsed_seconds * static_cast<double>(to_go) / static_cast<double>(advance);
  }
  return state;
}

void Progress::draw() {
  const auto now = state();
  if (!is_terminal_) {
    for (const auto& group : now.groups) {
      // The line ends with the time left: of what, where that is more than the line's own work.
      const bool is_of_all = now.seconds_left >= 0 && now.steps_total > group.total;
      out_ << fmt::format("[{:.0f}s] {}{}\n", now.elapsed_seconds, render_plain(now, group),
                          is_of_all ? " in all" : "");
    }
    out_.flush();
    return;
  }
  clear();
  // One column less than the terminal has: some wrap at the last one.
  const auto lines = render_terminal(now, width_ - 1);
  for (const auto& line : lines) {
    out_ << (has_colour_ ? colour_bar(line) : line) << '\n';
  }
  out_.flush();
  num_lines_drawn_ = lines.size();
}

}  // namespace baton::app
