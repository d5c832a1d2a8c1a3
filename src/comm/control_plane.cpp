#include "control_plane.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"

namespace baton::comm {
namespace {

constexpr std::array<Mailbox, kNumMailboxes> kMailboxes{Mailbox::kCoordinator, Mailbox::kWorker,
                                                        Mailbox::kWatch};
constexpr std::chrono::microseconds kDrainPause{200};
constexpr std::chrono::milliseconds kForgetEvery{1};

int tag_of(Mailbox box) {
  return 1 + static_cast<int>(box);
}

}  // namespace

void ControlPlane::open(MpiCommHandle handle, int rank) {
  const std::lock_guard lock(mutex_);
  handle_ = std::move(handle);
  rank_ = rank;
}

void ControlPlane::check_open() const {
  if (closed_) {
    throw base::Error(base::ErrorKind::kCommunication,
                      "a control message was asked for after the end of the world",
                      {.where = fmt::format("rank {}", rank_)});
  }
}

void ControlPlane::forget_finished_sends() {
  for (auto send = sends_.begin(); send != sends_.end();) {
    int done = 0;
    BATON_MPI(MPI_Test(&send->request, &done, MPI_STATUS_IGNORE));
    send = done != 0 ? sends_.erase(send) : std::next(send);
  }
}

/// With a thousand peers, looking at every send at each call would cost more than the sends.
void ControlPlane::forget_finished_sends_at_times() {
  const auto now = std::chrono::steady_clock::now();
  if (!sends_.empty() && now - last_forgotten_ >= kForgetEvery) {
    last_forgotten_ = now;
    forget_finished_sends();
  }
}

void ControlPlane::send(int to_rank, Mailbox box, const std::string& bytes) {
  BATON_ASSERT(std::cmp_less_equal(bytes.size(), std::numeric_limits<int>::max()),
               fmt::format("control message of {} bytes", bytes.size()));
  const std::lock_guard lock(mutex_);
  check_open();
  if (to_rank == rank_) {
    box_of(box).from_myself.push_back({rank_, bytes});
    return;
  }
  forget_finished_sends_at_times();
  Sending& send = sends_.emplace_back();
  send.bytes = bytes;
  // Synchronous: finished means received, which close() relies on.
  BATON_MPI(MPI_Issend(send.bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to_rank,
                       tag_of(box), handle_.get(), &send.request));
}

/// A receive of a long message may need its sender's help: it is begun here and waited for by
/// nobody.
void ControlPlane::begin_receives(Mailbox box) {
  for (;;) {
    int there = 0;
    MPI_Message matched = MPI_MESSAGE_NULL;
    MPI_Status status{};
    BATON_MPI(MPI_Improbe(MPI_ANY_SOURCE, tag_of(box), handle_.get(), &there, &matched, &status));
    if (there == 0) {
      return;
    }
    int count = 0;
    BATON_MPI(MPI_Get_count(&status, MPI_BYTE, &count));
    Receiving& receiving = box_of(box).under_way.emplace_back();
    receiving.message.from_rank = status.MPI_SOURCE;
    receiving.message.bytes.resize(static_cast<std::size_t>(count));
    BATON_MPI(
        MPI_Imrecv(receiving.message.bytes.data(), count, MPI_BYTE, &matched, &receiving.request));
  }
}

std::optional<ControlMessage> ControlPlane::take(Mailbox box) {
  Box& mine = box_of(box);
  if (!mine.from_myself.empty()) {
    ControlMessage message = std::move(mine.from_myself.front());
    mine.from_myself.pop_front();
    return message;
  }
  if (!handle_) {
    return std::nullopt;
  }
  begin_receives(box);
  std::vector<int> overtaken;  // senders whose earlier message is not complete
  for (auto one = mine.under_way.begin(); one != mine.under_way.end(); ++one) {
    if (!one->arrived) {
      int done = 0;
      BATON_MPI(MPI_Test(&one->request, &done, MPI_STATUS_IGNORE));
      one->arrived = done != 0;
    }
    const int sender = one->message.from_rank;
    if (std::find(overtaken.begin(), overtaken.end(), sender) != overtaken.end()) {
      continue;
    }
    if (one->arrived) {
      ControlMessage message = std::move(one->message);
      mine.under_way.erase(one);
      return message;
    }
    overtaken.push_back(sender);
  }
  return std::nullopt;
}

std::optional<ControlMessage> ControlPlane::poll(Mailbox box) {
  const std::lock_guard lock(mutex_);
  check_open();
  forget_finished_sends_at_times();
  return take(box);
}

std::size_t ControlPlane::drop_all(Mailbox box) {
  std::size_t num_dropped = 0;
  while (take(box)) {
    ++num_dropped;
  }
  return num_dropped;
}

bool ControlPlane::nothing_under_way() const {
  return sends_.empty() && std::all_of(boxes_.begin(), boxes_.end(),
                                       [](const Box& box) { return box.under_way.empty(); });
}

/// A rank joins the barrier once its own sends have been received, so the barrier's end means that
/// nobody will send to this rank any more.
void ControlPlane::close() {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    return;
  }
  std::size_t num_dropped = 0;
  MPI_Request barrier = MPI_REQUEST_NULL;
  bool in_barrier = false;
  for (int through = handle_ ? 0 : 1; through == 0 || !nothing_under_way();) {
    for (const Mailbox box : kMailboxes) {
      const std::size_t num_unread = drop_all(box);
      // A report of the watch that came too late is nobody's loss.
      num_dropped += box == Mailbox::kWatch ? 0 : num_unread;
    }
    forget_finished_sends();
    if (!in_barrier && sends_.empty()) {
      BATON_MPI(MPI_Ibarrier(handle_.get(), &barrier));
      in_barrier = true;
    } else if (in_barrier && through == 0) {
      BATON_MPI(MPI_Test(&barrier, &through, MPI_STATUS_IGNORE));
    }
    std::this_thread::sleep_for(kDrainPause);
  }
  closed_ = true;
  handle_.reset();
  if (num_dropped > 0) {
    base::log_warning("comm", fmt::format("{} control messages were never read", num_dropped));
  }
}

void ControlPlane::give_up() noexcept {
  handle_.release();
  if (nothing_under_way()) {
    return;
  }
  try {
    // MPI may still write into these: they live as long as the process.
    static_cast<void>(std::make_unique<std::list<Sending>>(std::move(sends_)).release());
    static_cast<void>(
        std::make_unique<std::array<Box, kNumMailboxes>>(std::move(boxes_)).release());
  } catch (...) {  // without memory left, this process is ending anyway
  }
}

}  // namespace baton::comm
