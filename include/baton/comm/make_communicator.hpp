#pragma once
// The one place that chooses a backend for a group, and refuses in words. Used by the commands.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/device/device.hpp"

namespace baton::comm {

enum class Backend { kAuto, kMpi, kNccl };

/// "auto", "mpi" or "nccl"; anything else is a kUsage error with the nearest name.
Backend backend_from_name(const std::string& name);

struct CommunicatorRequest {
  Backend backend = Backend::kAuto;
  device::Device device;                   // where this rank's buffers live
  double timeout_seconds = 0;              // of one NCCL operation; 0: a watchdog judges, or nobody
  void* compute_stream = nullptr;          // cudaStream_t; see NcclOptions
  std::optional<bool> deterministic = {};  // whether the log says what sums promise, and what
};

/// Collective over `host`, a group in host memory (of one rank, or from ProcessWorld), which is
/// handed over. Group rank 0 logs which backend it is, why, and what it promises.
///   mpi   `host` itself.
///   nccl  kUsage on every rank, naming the first rank in the way, when a rank has no GPU or no
///   NCCL
///         in its build.
///   auto  nccl where that works on every rank and the group has more than one, else `host` itself.
/// nccl and auto: two ranks that share one GPU are a kUsage error on every rank.
std::unique_ptr<Communicator> make_communicator(std::unique_ptr<Communicator> host,
                                                const CommunicatorRequest& request);

/// Which GPU a rank took.
struct RankGpu {
  std::string host;
  std::string unique_id;    // empty: it computes on the CPU
  std::string description;  // "GPU 0 at 0000:3B:00.0"
  int num_visible = 0;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("host", self.host);
    visit("unique_id", self.unique_id);
    visit("description", self.description);
    visit("num_visible", self.num_visible);
  }
};

/// Pure: nothing, or the error that names two ranks on one GPU and says how to part them.
std::optional<base::Error> shared_gpu_error(const std::vector<RankGpu>& gpu_of_rank);

/// Collective over `ranks` (the world, say): throws shared_gpu_error's error on every rank.
void check_one_rank_per_gpu(Communicator& ranks, const device::Device& device);

/// What the sums of a group over this backend promise, for the log.
std::string promise_of(const std::string& backend, bool deterministic);

}  // namespace baton::comm
