#pragma once
// The processes of this run: owns MPI's start and end, knows MPI_COMM_WORLD alone, hands out
// groups. A process started without mpirun or srun is a world of one. Used by main and the
// commands.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"

namespace baton::comm {

/// Who a control message is for. Each mailbox has readers of its own.
enum class Mailbox { kCoordinator, kWorker, kWatch };
inline constexpr std::size_t kNumMailboxes = 3;

struct ControlMessage {
  int from_rank = 0;
  std::string bytes;
};

/// Everything but the control messages and abort() belongs to the main thread.
class ProcessWorld {
 public:
  /// Starts MPI where a launcher started this process; otherwise a world of one in which MPI is
  /// never touched. Call once, from main. kCommunication when MPI does not work with several
  /// threads, when the launcher announced more ranks than meet, or when this process is alone in a
  /// batch job of several tasks (see lone_process_problem).
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

  /// The whole world as the group in which ranks agree and tell each other small things; main
  /// thread only, until close().
  Communicator& everyone();
  /// Collective. The whole world as one more group (a duplicate of its own, never MPI_COMM_WORLD).
  std::unique_ptr<Communicator> make_world_group();
  /// Collective over the whole world. `members` lists, on every rank, the same disjoint groups of
  /// world ranks; gives the group this rank is in, or nothing for a rank in none. Group rank =
  /// position in the list.
  std::unique_ptr<Communicator> split(const std::vector<std::vector<int>>& members);

  /// Collective, `members` as in split(): the group this rank is in as a world of its own, with ranks
  /// of its own, for a command that is run by a part of the processes. It ends before this one does;
  /// local_rank() and local_size() stay those of the machine. Nothing for a rank in none.
  std::unique_ptr<ProcessWorld> split_world(const std::vector<std::vector<int>>& members);

  /// Control plane: small byte messages on a communicator of their own. Any thread, at any time
  /// until close(), also while others wait in collectives; neither call waits for another rank.
  /// Messages between two ranks for one mailbox arrive in order; to oneself they go through memory.
  void send_control(int to_rank, Mailbox box, const std::string& bytes);
  std::optional<ControlMessage> poll_control(Mailbox box);

  /// Collective: kCommunication on every rank, naming the first rank whose text differs from rank
  /// 0's, its host and both texts. `mine` is base::build_identity().
  void check_same_build(const std::string& mine);

  /// Ends all processes at once with this exit code; does not return. Any thread.
  [[noreturn]] void abort(int code) noexcept;
  /// Collective: the orderly end; other threads have stopped using the world. Control messages
  /// nobody polled are dropped, with a warning unless they are the watch's.
  void close();

 private:
  struct State;
  explicit ProcessWorld(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Facts of the launch read from the environment, in one place.
struct LaunchFacts {
  std::string launcher = "none";  // "mpirun", "srun" or "none"
  int announced_size = 1;         // what the launcher says the world should be
  int announced_rank = 0;         // this process's place in it
  int announced_local_size = 1;   // ranks on this machine, as far as the launcher says
  bool can_meet_peers = false;  // the launcher left the address by which MPI finds the other ranks
  int num_job_tasks = 1;        // tasks of the Slurm job this process is in; 1 outside of one
  bool alone_on_purpose = false;  // BATON_ALONE=1
};
LaunchFacts launch_facts();

/// A process that no launcher started inside a batch job of several tasks would do alone what the
/// job was given machines for: kCommunication with the fix. Nothing when all is well.
std::optional<base::Error> lone_process_problem(const LaunchFacts& facts);

}  // namespace baton::comm
