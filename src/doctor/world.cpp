// Checks that need the other ranks: sums, messages, NCCL.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "baton/base/error.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/comm/share.hpp"
#include "baton/device/device.hpp"
#include "facts.hpp"

namespace baton::doctor {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kNumFloats = std::size_t{1} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Finding communication_fault(const std::string& check, const std::string& found) {
  return {check, Health::kBad, found,
          "look at the network between the machines; with several networks name one: mpirun --mca "
          "btl_tcp_if_include NAME",
          base::ErrorKind::kCommunication};
}

// Rank r brings r + 1 everywhere, so every sum is a whole number that floats hold exactly.
double expected_sum(int size) {
  return 0.5 * size * (size + 1);
}

Finding check_sum(comm::Communicator& group) {
  std::vector<float> values(kNumFloats, 1.0F);
  group.all_reduce_sum(
      comm::FloatBuffer{values.data(), values.size(), false});  // connections are made now
  values.assign(kNumFloats, static_cast<float>(group.rank() + 1));
  group.barrier();
  const auto start = Clock::now();
  group.all_reduce_sum(comm::FloatBuffer{values.data(), values.size(), false});
  const double seconds = seconds_since(start);
  std::int64_t num_wrong = 0;
  for (const float value : values) {
    num_wrong += static_cast<double>(value) != expected_sum(group.size()) ? 1 : 0;
  }
  num_wrong = group.all_reduce_max(num_wrong);
  return num_wrong == 0
             ? Finding{"sums over MPI",
                       Health::kOk,
                       fmt::format("4 MiB in {:.1f} ms", 1e3 * seconds),
                       "",
                       {}}
             : communication_fault("sums over MPI",
                                   fmt::format("{} of {} sums are wrong", num_wrong, kNumFloats));
}

constexpr comm::Mailbox kMailbox = comm::Mailbox::kCoordinator;  // no work loop reads it here

bool wait_for_message(comm::ProcessWorld& world, int from_rank, Clock::time_point deadline) {
  while (Clock::now() < deadline) {
    const auto message = world.poll_control(kMailbox);
    if (message) {
      return message->from_rank == from_rank && message->bytes == "doctor";
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return false;
}

Finding check_control(comm::ProcessWorld& world, comm::Communicator& group) {
  constexpr std::chrono::seconds kLimit{10};
  group.barrier();
  std::string problem;
  double slowest = 0;
  if (world.rank() == 0) {
    for (int rank = 1; rank < world.size() && problem.empty(); ++rank) {
      const auto start = Clock::now();
      world.send_control(rank, kMailbox, "doctor");
      if (!wait_for_message(world, rank, start + kLimit)) {
        problem = fmt::format("no answer from rank {} within {} s", rank, kLimit.count());
      }
      slowest = std::max(slowest, seconds_since(start));
    }
  } else if (wait_for_message(world, 0, Clock::now() + kLimit * world.size())) {
    world.send_control(0, kMailbox, "doctor");
  }
  problem = comm::value_of_leader(group, problem);
  return problem.empty()
             ? Finding{"messages",
                       Health::kOk,
                       fmt::format("there and back in {:.2f} ms at most", 1e3 * slowest),
                       "",
                       {}}
             : communication_fault("messages", problem);
}

/// Sums a tensor that lies in this rank's GPU; the text of what is wrong, or nothing.
std::string sum_on_gpus(comm::Communicator& group, const device::Device& device) {
  const at::Device place(at::kCUDA, static_cast<at::DeviceIndex>(device.index));
  at::Tensor values =
      at::full({static_cast<std::int64_t>(kNumFloats)}, static_cast<double>(group.rank() + 1),
               at::TensorOptions().dtype(at::kFloat).device(place));
  group.all_reduce_sum(comm::FloatBuffer{values.data_ptr<float>(), kNumFloats, true});
  const double least = values.min().item<double>();
  const double most = values.max().item<double>();
  const double expected = expected_sum(group.size());
  return least == expected && most == expected
             ? ""
             : fmt::format("sums of {} to {}, expected {}", least, most, expected);
}

}  // namespace

std::vector<Finding> check_messages(comm::ProcessWorld& world, comm::Communicator& group) {
  return {check_sum(group), check_control(world, group)};
}

Finding check_nccl(comm::ProcessWorld& world, comm::Communicator& group) {
  const device::Device device = device::choose_device(world.local_rank(), world.local_size());
  const bool possible = comm::nccl_compiled_in() && device.kind == device::DeviceKind::kCuda;
  if (group.all_reduce_max(possible ? 0 : 1) != 0) {
    const std::string reason = device.kind == device::DeviceKind::kCuda ? "" : "no GPU: ";
    return {"NCCL", Health::kSkipped, reason + comm::nccl_version_text(), "", {}};
  }
  const std::string version = comm::nccl_version_text();
  try {
    comm::CommunicatorRequest request;
    request.backend = comm::Backend::kNccl;
    request.device = device;
    request.timeout_seconds = 60;
    const auto start = Clock::now();
    const auto gpus = comm::make_communicator(world.make_world_group(), request);
    const std::string problem = sum_on_gpus(*gpus, device);
    gpus->close();
    if (!problem.empty()) {
      return communication_fault("NCCL", version + ": " + problem);
    }
    return {"NCCL",
            Health::kOk,
            fmt::format("{}, set up and summed in {:.1f} s", version, seconds_since(start)),
            "",
            {}};
  } catch (const base::Error& error) {
    return {"NCCL", Health::kBad, version + ": " + error.summary(),
            error.details().fix.empty()
                ? "start again with NCCL_DEBUG=INFO, or train with cluster.backend=mpi"
                : error.details().fix,
            base::ErrorKind::kCommunication};
  }
}

}  // namespace baton::doctor
