#pragma once
// One group of ranks. The trainer, the evaluator and the commands see only this interface; backends
// are MPI (host memory), NCCL (GPU memory) and a group of one. Every operation below is collective
// over the group: all ranks call it, in the same order. Errors are kCommunication.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace baton::comm {

/// fp32 values somewhere: host memory, or the memory of this rank's GPU.
struct FloatBuffer {
  float* data = nullptr;
  std::size_t count = 0;
  bool on_gpu = false;
};

/// How far a group is, as another thread may ask at any time.
struct CommunicatorActivity {
  std::int64_t num_collectives = 0;  // entered so far
  bool in_collective = false;        // inside one now
  double seconds_inside = 0;         // spent in those that ended, waiting for others included
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "mpi", "nccl" or "single".
  virtual const char* backend() const = 0;

  /// buffer := elementwise sum over ranks. The order of summation is the backend's own.
  virtual void all_reduce_sum(FloatBuffer buffer) = 0;
  /// The same without waiting, for pieces of one gradient that leave while others are still
  /// computed. GPU memory: starts after what the compute stream holds now. The buffer is the
  /// backend's until finish_started(); all ranks start the same pieces in the same order. Where
  /// nothing goes on in the background the sum is done when it returns.
  virtual void start_all_reduce_sum(FloatBuffer buffer) { all_reduce_sum(buffer); }
  /// Whether started sums of GPU memory go on while the caller computes; else pieces gain nothing.
  virtual bool sums_in_background() const { return false; }
  /// From here on the compute stream sees the sums of everything started. Does not wait on the
  /// host.
  virtual void finish_started() {}
  /// Waits on the host until everything started is done, with the time limit of one operation; call
  /// it before the first read of a number that depends on a sum, or a lost peer is waited for
  /// without a limit.
  virtual void wait_for_started() {}
  /// sum of one number per rank in rank order: the same bits on every rank.
  virtual double all_reduce_sum(double value) = 0;
  virtual std::int64_t all_reduce_max(std::int64_t value) = 0;
  /// buffer := the buffer of `root`.
  virtual void broadcast(FloatBuffer buffer, int root) = 0;
  /// received[r * mine.count ...] := `mine` of rank r; received.count = size() * mine.count.
  virtual void all_gather(FloatBuffer mine, FloatBuffer received) = 0;
  /// One byte string per rank, in rank order, on every rank.
  virtual std::vector<std::string> all_gather_bytes(const std::string& mine) = 0;
  /// The byte string of `root`.
  virtual std::string broadcast_bytes(const std::string& mine, int root) = 0;
  virtual void barrier() = 0;

  /// Any thread, while the group lives. A backend that does not count says 0 and false.
  virtual CommunicatorActivity activity() const { return {}; }

  /// Ends the group in an orderly way; collective. A destructor without it releases locally and
  /// logs.
  virtual void close() = 0;
  /// Ends the group without waiting for peers; for the error path.
  virtual void abort(const std::string& reason) noexcept = 0;
};

/// The group of one: identity operations.
std::unique_ptr<Communicator> make_single_communicator();

}  // namespace baton::comm
