#pragma once
// Control messages over a communicator of their own (one tag a mailbox), or through memory in a
// world without MPI and to oneself. send() and poll() may be called by any thread at any time: no
// call under the lock waits for another rank, so a rank that stands still holds nobody here.

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>

#include "baton/comm/process_world.hpp"
#include "mpi_check.hpp"

namespace baton::comm {

class ControlPlane {
 public:
  ControlPlane() = default;
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;
  ~ControlPlane() { give_up(); }

  /// From a world of one without MPI to the world of `handle`, as `rank` of it.
  void open(MpiCommHandle handle, int rank);

  /// kCommunication after close().
  void send(int to_rank, Mailbox box, const std::string& bytes);
  std::optional<ControlMessage> poll(Mailbox box);

  /// Collective: waits until no message is under way anywhere, drops those that nobody polled (with
  /// a warning, except the watch's) and frees the communicator.
  void close();

  /// For the error path: leaves everything to MPI's end, without waiting for anyone.
  void give_up() noexcept;

 private:
  struct Sending {
    std::string bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  struct Receiving {
    ControlMessage message;
    MPI_Request request = MPI_REQUEST_NULL;
    bool arrived = false;
  };
  struct Box {
    std::deque<ControlMessage> from_myself;
    std::list<Receiving> under_way;  // in the order in which they were sent, per sender
  };

  Box& box_of(Mailbox box) { return boxes_[static_cast<std::size_t>(box)]; }
  void check_open() const;
  void forget_finished_sends();
  void forget_finished_sends_at_times();
  void begin_receives(Mailbox box);
  std::optional<ControlMessage> take(Mailbox box);
  std::size_t drop_all(Mailbox box);
  bool nothing_under_way() const;

  std::mutex mutex_;
  MpiCommHandle handle_;
  int rank_ = 0;
  bool closed_ = false;
  std::list<Sending> sends_;
  std::chrono::steady_clock::time_point last_forgotten_;
  std::array<Box, kNumMailboxes> boxes_;
};

}  // namespace baton::comm
