#include "baton/comm/make_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "baton/base/log.hpp"
#include "baton/base/text.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/comm/share.hpp"
#include "baton/device/host.hpp"

namespace baton::comm {
namespace {

/// Why this rank cannot take part in NCCL; empty when it can.
std::string local_obstacle(const device::Device& device) {
  if (!nccl_compiled_in()) {
    return "NCCL is not compiled in";
  }
  return device.kind == device::DeviceKind::kCuda ? "" : "has no GPU: " + device.description;
}

/// Collective. The first rank that cannot use NCCL and why, the same text on every rank; empty when
/// all can.
std::string group_obstacle(Communicator& host, const device::Device& device) {
  const std::vector<std::string> all = host.all_gather_bytes(local_obstacle(device));
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (!all[r].empty()) {
      return fmt::format("group rank {}: {}", r, all[r]);
    }
  }
  return "";
}

void log_choice(const Communicator& group,
                const std::string& why,
                std::optional<bool> deterministic) {
  if (group.rank() == 0 && group.size() > 1) {
    const std::string promise =
        deterministic ? ": " + promise_of(group.backend(), *deterministic) : "";
    base::log_info("comm", fmt::format("backend {} ({}){}", group.backend(), why, promise));
  }
}

std::unique_ptr<Communicator> over_nccl(std::unique_ptr<Communicator> host,
                                        const CommunicatorRequest& request) {
  check_one_rank_per_gpu(*host, request.device);
  NcclOptions options;
  options.device_index = request.device.index;
  options.timeout_seconds = request.timeout_seconds;
  options.first_timeout_seconds = 1.5 * request.timeout_seconds;
  options.compute_stream = request.compute_stream;
  auto group = make_nccl_communicator(std::move(host), options);
  log_choice(*group, nccl_version_text(), request.deterministic);
  return group;
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

std::optional<base::Error> shared_gpu_error(const std::vector<RankGpu>& gpu_of_rank) {
  std::map<std::string, std::size_t> owners;
  for (std::size_t r = 0; r < gpu_of_rank.size(); ++r) {
    const RankGpu& gpu = gpu_of_rank[r];
    if (gpu.unique_id.empty()) {
      continue;
    }
    const auto [owner, is_new] = owners.try_emplace(gpu.unique_id, r);
    if (is_new) {
      continue;
    }
    const RankGpu& first = gpu_of_rank[owner->second];
    const auto num_neighbours = std::count_if(gpu_of_rank.begin(), gpu_of_rank.end(),
                                              [&](const RankGpu& g) { return g.host == gpu.host; });
    const std::string fix =
        gpu.num_visible > 1
            ? fmt::format(
                  "start at most {} ranks on {} (sbatch --ntasks-per-node={}, mpirun "
                  "--map-by ppr:{}:node), or set backend = mpi to share GPUs on purpose",
                  gpu.num_visible, gpu.host, gpu.num_visible, gpu.num_visible)
            : std::string(
                  "show every rank all GPUs (unset CUDA_VISIBLE_DEVICES; srun --gpu-bind=none) or "
                  "each another one (srun --gpus-per-task=1), start one rank a GPU, or set "
                  "backend = mpi to share it on purpose");
    return base::Error(
        base::ErrorKind::kUsage, "two ranks share one GPU",
        {.where = fmt::format("ranks {} and {} on {}", owner->second, r, gpu.host),
         .expected = "a GPU of its own for every rank",
         .found = fmt::format("{} of rank {} is {} of rank {} ({}); {} ranks there, rank {} is "
                              "shown {} GPUs",
                              first.description, owner->second, gpu.description, r, gpu.unique_id,
                              num_neighbours, r, gpu.num_visible),
         .fix = fix});
  }
  return std::nullopt;
}

void check_one_rank_per_gpu(Communicator& ranks, const device::Device& device) {
  RankGpu mine;
  mine.host = device::host_name();
  if (device.kind == device::DeviceKind::kCuda) {
    mine.unique_id = device.unique_id;
    mine.description = fmt::format("GPU {} at {}", device.index, device.pci_address);
    mine.num_visible = device.num_visible;
  }
  if (const auto error = shared_gpu_error(from_all(ranks, mine))) {
    throw *error;
  }
}

std::string promise_of(const std::string& backend, bool deterministic) {
  if (deterministic) {
    const std::string order =
        "gradients are added in slot order in host memory, the same bits for every group size";
    return backend == "nccl" ? order +
                                   "; NCCL takes no part in these sums, and GPU kernels may "
                                   "round differently on another GPU model"
                             : order;
  }
  if (backend == "nccl") {
    return "gradients are added in NCCL's order: the same bits on all ranks of a group, not across "
           "group sizes, placements of ranks or NCCL versions (NCCL_NVLS_ENABLE=0 where repeated "
           "runs differ)";
  }
  return "gradients are added in MPI's order: the same bits on all ranks of a group, not across "
         "group sizes";
}

std::unique_ptr<Communicator> make_communicator(std::unique_ptr<Communicator> host,
                                                const CommunicatorRequest& request) {
  BATON_ASSERT(host != nullptr, std::string("no host group"));
  if (request.backend == Backend::kMpi) {
    log_choice(*host, "as asked for", request.deterministic);
    return host;
  }
  if (request.backend == Backend::kAuto && host->size() == 1) {
    return host;
  }
  const std::string obstacle = group_obstacle(*host, request.device);
  if (obstacle.empty()) {
    return over_nccl(std::move(host), request);
  }
  if (request.backend == Backend::kAuto) {
    log_choice(*host, "auto: " + obstacle, request.deterministic);
    return host;
  }
  throw base::Error(base::ErrorKind::kUsage, "the nccl backend cannot be used here",
                    {.where = "cluster.backend = nccl",
                     .expected = "a GPU for every rank, and a build with NCCL",
                     .found = obstacle,
                     .fix = "use backend = mpi or auto, or build with a CUDA toolkit and NCCL"});
}

}  // namespace baton::comm
