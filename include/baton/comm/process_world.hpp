#pragma once
// The processes of this run: owns MPI's start and end, knows MPI_COMM_WORLD alone, hands out
// groups. A process started without mpirun or srun is a world of one. Used by main and the
// commands.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::comm {

struct ControlMessage {
  int from_rank = 0;
  std::string bytes;
};

class ProcessWorld {
 public:
  /// Starts MPI (thread level checked) where a launcher started this process; otherwise a world of
  /// one in which MPI is never touched. Call once, from main. kCommunication when the launcher
  /// announced more ranks than meet.
  ProcessWorld(int* argc, char*** argv);
  /// Ends MPI unless that was done. Not while an exception passes through: the peers may never
  /// arrive, so the process then ends without it and the launcher ends the others.
  ~ProcessWorld();
  ProcessWorld(const ProcessWorld&) = delete;
  ProcessWorld& operator=(const ProcessWorld&) = delete;

  int rank() const;
  int size() const;
  int local_rank() const;  // among the ranks of this machine
  int local_size() const;
  const std::string& host() const;
  /// World rank -> node number, numbered in order of first appearance by rank.
  const std::vector<int>& node_of_rank() const;

  /// Collective. The whole world as a group (a duplicate of its own, never MPI_COMM_WORLD).
  std::unique_ptr<Communicator> make_world_group();
  /// Collective over the whole world. `members` lists, on every rank, the same disjoint groups of
  /// world ranks; gives the group this rank is in, or nothing for a rank in none. Group rank =
  /// position in the list.
  std::unique_ptr<Communicator> split(const std::vector<std::vector<int>>& members);

  /// Control plane: small byte messages on a communicator of their own. Sending does not block;
  /// messages between two ranks arrive in order.
  void send_control(int to_rank, const std::string& bytes);
  std::optional<ControlMessage> poll_control();

  /// Collective: if any rank brings an error, every rank throws the error of the lowest such rank
  /// (its text says which rank found it). The way to enter a phase together after a part that may
  /// throw.
  void agree(const std::optional<base::Error>& mine);
  /// Runs `work` and then agrees: an exception on any rank becomes the same exception on all.
  void together(const std::function<void()>& work);

  /// Ends all processes at once with this exit code; does not return.
  [[noreturn]] void abort(int code) noexcept;
  /// Collective: the orderly end. Control messages nobody polled are dropped with a warning.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Facts of the launch read from the environment, in one place.
struct LaunchFacts {
  std::string launcher = "none";  // "mpirun", "srun" or "none"
  int announced_size = 1;         // what the launcher says the world should be
  int announced_rank = 0;         // this process's place in it
  int announced_local_size = 1;   // ranks on this machine, as far as the launcher says
  bool can_meet_peers = false;  // the launcher left the address by which MPI finds the other ranks
};
LaunchFacts launch_facts();

}  // namespace baton::comm
