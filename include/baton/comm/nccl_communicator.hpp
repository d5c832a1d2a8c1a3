#pragma once
// The NCCL backend: buffers in GPU memory on a stream of its own, everything else (host buffers,
// numbers, byte strings) through the host group it was made from. Chosen by make_communicator; a
// build without NCCL holds the same functions, which answer in words.

#include <memory>
#include <string>

#include "baton/comm/communicator.hpp"

namespace baton::comm {

struct NcclOptions {
  int device_index = 0;                // GPU of this rank
  double timeout_seconds = 600;        // for one operation; 0: without a limit
  double first_timeout_seconds = 900;  // for forming the group and its first operation; 0: none
  /// The cudaStream_t on which buffers are filled and read; null is the default stream. An
  /// operation starts after what is queued there, and what is queued there later starts after the
  /// operation.
  void* compute_stream = nullptr;
};

/// Whether the NCCL backend is part of this build.
bool nccl_compiled_in() noexcept;

/// "NCCL 2.28.9 (compiled 2.28.9)", or "not compiled in".
std::string nccl_version_text();

/// Collective over `host`, which the new group owns and closes. Forming the group does not block in
/// NCCL: it is polled with the first time limit. Operations wait on the host until they are done,
/// except start_all_reduce_sum and finish_started, which only queue. All waiting polls NCCL's own
/// error state: an error is kCommunication, a passed time limit kHang; both abort the group first,
/// and what comes after fails at once. kUsage when NCCL is not compiled in; kCommunication when the
/// library loaded is not the version compiled against.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host,
                                                     NcclOptions options);

}  // namespace baton::comm
