#pragma once
// The one place that chooses a backend for a group, and refuses in words. Used by the commands.

#include <memory>
#include <string>

#include "baton/comm/communicator.hpp"
#include "baton/device/device.hpp"

namespace baton::comm {

enum class Backend { kAuto, kMpi, kNccl };

/// "auto", "mpi" or "nccl"; anything else is a kUsage error with the nearest name.
Backend backend_from_name(const std::string& name);

struct CommunicatorRequest {
  Backend backend = Backend::kAuto;
  device::Device device;           // where this rank's buffers live
  double timeout_seconds = 600;    // of one NCCL operation
  void* compute_stream = nullptr;  // cudaStream_t; see NcclOptions
};

/// Collective over `host`, a group in host memory (of one rank, or from ProcessWorld), which is
/// handed over.
///   mpi   `host` itself.
///   nccl  kUsage on every rank, naming the first rank in the way, when a rank has no GPU, no NCCL
///   in its
///         build, or two ranks share one GPU.
///   auto  nccl where that works on every rank and the group has more than one, else `host` itself.
std::unique_ptr<Communicator> make_communicator(std::unique_ptr<Communicator> host,
                                                const CommunicatorRequest& request);

}  // namespace baton::comm
