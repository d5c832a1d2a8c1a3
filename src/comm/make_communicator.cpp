#include "baton/comm/make_communicator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/comm/nccl_communicator.hpp"

namespace baton::comm {
namespace {

/// Why this rank cannot take part in NCCL; empty when it can.
std::string local_obstacle(const device::Device& device) {
  if (!nccl_compiled_in()) {
    return "NCCL is not compiled in";
  }
  return device.kind == device::DeviceKind::kCuda ? "" : "has no GPU: " + device.description;
}

/// Collective. Why the group cannot use NCCL, the same text on every rank; empty when it can. Each
/// rank brings
/// "-reason" or "+host and GPU".
std::string group_obstacle(Communicator& host, const device::Device& device) {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  const std::string mine = local_obstacle(device);
  const std::vector<std::string> all = host.all_gather_bytes(
      mine.empty() ? fmt::format("+{} GPU {}", name.data(), device.unique_id) : "-" + mine);
  std::map<std::string, std::size_t> owners;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r][0] == '-') {
      return fmt::format("group rank {}: {}", r, all[r].substr(1));
    }
    const auto [owner, is_new] = owners.try_emplace(all[r], r);
    if (!is_new) {
      return fmt::format("group ranks {} and {} share one GPU ({})", owner->second, r,
                         all[r].substr(1));
    }
  }
  return "";
}

}  // namespace

Backend backend_from_name(const std::string& name) {
  const std::array<std::string, 3> names{"auto", "mpi", "nccl"};
  constexpr std::array<Backend, 3> kBackends{Backend::kAuto, Backend::kMpi, Backend::kNccl};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) {
      return kBackends[i];
    }
  }
  const auto nearest = base::nearest_name(name, names);
  throw base::Error(
      base::ErrorKind::kUsage, "unknown backend",
      {.where = "cluster.backend",
       .expected = "auto, mpi or nccl",
       .found = "\"" + name + "\"",
       .fix = nearest ? "did you mean \"" + *nearest + "\"?" : "choose one of the three"});
}

std::unique_ptr<Communicator> make_communicator(std::unique_ptr<Communicator> host,
                                                const CommunicatorRequest& request) {
  BATON_ASSERT(host != nullptr, std::string("no host group"));
  if (request.backend == Backend::kMpi ||
      (request.backend == Backend::kAuto && host->size() == 1)) {
    return host;
  }
  const std::string obstacle = group_obstacle(*host, request.device);
  if (obstacle.empty()) {
    NcclOptions options;
    options.device_index = request.device.index;
    options.timeout_seconds = request.timeout_seconds;
    options.first_timeout_seconds = 1.5 * request.timeout_seconds;
    options.compute_stream = request.compute_stream;
    return make_nccl_communicator(std::move(host), options);
  }
  if (request.backend == Backend::kAuto) {
    return host;
  }
  throw base::Error(base::ErrorKind::kUsage, "the nccl backend cannot be used here",
                    {.where = "cluster.backend = nccl",
                     .expected = "a GPU of its own for every rank, and a build with NCCL",
                     .found = obstacle,
                     .fix = "use backend = mpi or auto, start one rank a GPU, or build with a CUDA "
                            "toolkit and NCCL"});
}

}  // namespace baton::comm
