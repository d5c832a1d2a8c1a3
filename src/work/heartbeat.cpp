#include "baton/work/heartbeat.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace baton::work {
namespace {

constexpr double kStandstillSeconds = 1;  // a helper that is busy for less is not worth a word

}  // namespace

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Heartbeat::Heartbeat(std::function<double()> clock)
    : clock_(std::move(clock)), last_progress_(clock_()) {
  position_.section = "start";
  position_.is_first = true;
}

void Heartbeat::note_progress_locked() const {
  last_progress_ = clock_();
}

void Heartbeat::set_place(const std::string& section,
                          const std::string& item,
                          std::int64_t step,
                          bool is_first) {
  const std::lock_guard lock(mutex_);
  position_.section = section;
  position_.item = item;
  position_.step = step;
  position_.is_first = is_first;
  note_progress_locked();
}

void Heartbeat::note_progress() {
  const std::lock_guard lock(mutex_);
  note_progress_locked();
}

void Heartbeat::set_may_wait(bool may_wait) {
  const std::lock_guard lock(mutex_);
  position_.may_wait = may_wait;
  note_progress_locked();
}

void Heartbeat::set_group(int index, std::function<comm::CommunicatorActivity()> activity) {
  const std::lock_guard lock(mutex_);
  position_.group = index;
  activity_ = std::move(activity);
  num_collectives_seen_ = 0;
  note_progress_locked();
}

void Heartbeat::leave_group() {
  set_group(-1, nullptr);
}

Position Heartbeat::position() const {
  const std::lock_guard lock(mutex_);
  Position now = position_;
  if (activity_) {
    const comm::CommunicatorActivity activity = activity_();
    now.num_collectives = activity.num_collectives;
    now.in_collective = activity.in_collective;
    if (now.num_collectives != num_collectives_seen_) {
      num_collectives_seen_ = now.num_collectives;
      note_progress_locked();
    }
  }
  now.seconds_in_place = std::max(0.0, clock_() - last_progress_);
  const double helper_still = clock_() - helper_progress_;
  const double main_still = now.may_wait ? 0 : now.seconds_in_place;
  if (!helper_section_.empty() && helper_still > main_still + kStandstillSeconds) {
    now.section = helper_section_;
    now.seconds_in_place = helper_still;
    now.may_wait = now.in_collective = now.is_first = false;
  }
  return now;
}

void Heartbeat::forgive(double seconds) {
  const std::lock_guard lock(mutex_);
  last_progress_ = std::min(clock_(), last_progress_ + seconds);
  helper_progress_ = std::min(clock_(), helper_progress_ + seconds);
  seconds_forgiven_ += seconds;
}

double Heartbeat::seconds_run() const {
  const std::lock_guard lock(mutex_);
  return clock_() - seconds_forgiven_;
}

Heartbeat::GroupScope::GroupScope(Heartbeat& heartbeat, int index, const comm::Communicator& group)
    : heartbeat_(heartbeat) {
  heartbeat_.set_group(index, [&group] { return group.activity(); });
}

Heartbeat::Helper::Helper(Heartbeat& heartbeat, const std::string& section)
    : heartbeat_(heartbeat) {
  const std::lock_guard lock(heartbeat_.mutex_);
  heartbeat_.helper_section_ = section;
  heartbeat_.helper_progress_ = heartbeat_.clock_();
}

Heartbeat::Helper::~Helper() {
  const std::lock_guard lock(heartbeat_.mutex_);
  heartbeat_.helper_section_.clear();
}

void Heartbeat::Helper::note_progress() {
  const std::lock_guard lock(heartbeat_.mutex_);
  heartbeat_.helper_progress_ = heartbeat_.clock_();
}

Heartbeat::Section::Section(Heartbeat& heartbeat, const std::string& name, bool may_wait)
    : heartbeat_(heartbeat) {
  const std::lock_guard lock(heartbeat_.mutex_);
  name_before_ = std::exchange(heartbeat_.position_.section, name);
  could_wait_before_ = std::exchange(heartbeat_.position_.may_wait, may_wait);
  heartbeat_.note_progress_locked();
}

Heartbeat::Section::~Section() {
  const std::lock_guard lock(heartbeat_.mutex_);
  heartbeat_.position_.section = std::move(name_before_);
  heartbeat_.position_.may_wait = could_wait_before_;
  heartbeat_.note_progress_locked();
}

std::string straggler_text(std::span<const double> seconds_of_rank, double factor) {
  if (seconds_of_rank.size() < 2) {
    return "";
  }
  std::vector<double> sorted(seconds_of_rank.begin(), seconds_of_rank.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const double median = *middle;
  std::string text;
  for (std::size_t rank = 0; rank < seconds_of_rank.size(); ++rank) {
    const double seconds = seconds_of_rank[rank];
    if (median > 0 && seconds > factor * median) {
      text += fmt::format("{}rank {}: {:.3f} s a step, {:.1f} times the group's {:.3f} s",
                          text.empty() ? "" : "; ", rank, seconds, seconds / median, median);
    }
  }
  return text;
}

}  // namespace baton::work
