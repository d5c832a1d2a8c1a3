#pragma once
// A group over MPI: host memory only. Counts above the piece limit (MPI counts are int) go in
// pieces.

#include <mpi.h>

#include <string>
#include <vector>

#include "activity.hpp"
#include "baton/comm/communicator.hpp"
#include "mpi_check.hpp"

namespace baton::comm {

class MpiCommunicator final : public Communicator {
 public:
  /// Takes a communicator that nobody else uses and that returns errors.
  explicit MpiCommunicator(MpiCommHandle handle);
  /// Local: an unclosed communicator is left to MPI's end.
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "mpi"; }

  void all_reduce_sum(FloatBuffer buffer) override;
  double all_reduce_sum(double value) override;
  std::int64_t all_reduce_max(std::int64_t value) override;
  void broadcast(FloatBuffer buffer, int root) override;
  void all_gather(FloatBuffer mine, FloatBuffer received) override;
  std::vector<std::string> all_gather_bytes(const std::string& mine) override;
  std::string broadcast_bytes(const std::string& mine, int root) override;
  void barrier() override;
  CommunicatorActivity activity() const override { return activity_.read(); }
  void close() override;
  /// MPI cannot end one group alone: this marks it as ended here; peers that wait in it are ended
  /// by ProcessWorld::abort, which the caller's error path reaches next.
  void abort(const std::string& reason) noexcept override;

  /// Elements (floats or bytes) of the largest single MPI call. Tests lower it to reach the pieces;
  /// all ranks of the group must use the same value.
  void set_piece_limit(std::size_t max_elements);

 private:
  MPI_Comm usable() const;
  void gather_bytes(const std::string& mine, std::vector<std::string>& all, MPI_Comm group);
  void broadcast_pieces(char* bytes, std::size_t count, int root);
  void check_root(int root) const;
  /// Runs one collective: counted, and its errors name it and this group.
  template <typename Work>
  void collective(const char* operation, Work work);

  MpiCommHandle handle_;
  int rank_ = 0;
  int size_ = 1;
  std::size_t piece_limit_;
  ActivityCounter activity_;
  std::string ended_because_;
};

}  // namespace baton::comm
