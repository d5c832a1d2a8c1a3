// A small program for launch_test: does what its first argument says and prints what it sees.

#include <mpi.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/coordinator/group_plan.hpp"

namespace {

using baton::comm::ProcessWorld;

/// Waits for the others in a collective that they never enter.
void wait_for_peers(ProcessWorld& world) {
  auto group = world.make_world_group();
  if (world.rank() == 1) {
    throw baton::base::Error(baton::base::ErrorKind::kNonFinite, "the loss is not finite",
                             {.where = "rank 1"});
  }
  std::vector<float> values(1000, 1.0f);
  group->all_reduce_sum({values.data(), values.size(), false});
  std::printf("rank %d passed\n", world.rank());
}

/// Two groups over all ranks, as `baton train` would form them.
void form_groups(ProcessWorld& world) {
  baton::coordinator::PlanRequest request;
  request.experts = {{"a", 100, 0}, {"b", 100, 0}};
  request.node_of_rank = world.node_of_rank();
  request.groups = 2;
  auto group = world.split(rank_lists(make_group_plan(request)));
  std::string hosts;
  for (const std::string& host : group->all_gather_bytes(world.host())) {
    hosts += " " + host;
  }
  std::vector<float> values(100000, 1.0f);
  group->all_reduce_sum({values.data(), values.size(), false});
  std::printf("rank %d on %s: node %d, local %d of %d, group on%s, sum %.0f\n", world.rank(),
              world.host().c_str(), world.node_of_rank()[static_cast<std::size_t>(world.rank())],
              world.local_rank(), world.local_size(), hosts.c_str(), values.back());
  group->close();
}

int run(const std::string& mode, ProcessWorld& world) {
  if (mode == "facts") {
    int started = 0;
    MPI_Initialized(&started);
    std::printf("rank %d of %d, mpi %s\n", world.rank(), world.size(),
                started != 0 ? "started" : "untouched");
    auto group = world.make_world_group();
    std::printf("backend %s\n", group->backend());
    group->close();
  } else if (mode == "throw") {
    try {
      wait_for_peers(world);
    } catch (const baton::base::Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      world.abort(baton::base::exit_code(error.kind()));
    }
  } else if (mode == "no_close") {
    auto group = world.make_world_group();
    world.send_control((world.rank() + 1) % world.size(), baton::comm::Mailbox::kWorker,
                       "never read");
    std::printf("leaving\n");
  } else if (mode == "unread") {  // messages of all sizes to all, in every mailbox
    using baton::comm::Mailbox;
    for (int to = 0; to < world.size(); ++to) {
      for (const Mailbox box : {Mailbox::kCoordinator, Mailbox::kWorker, Mailbox::kWatch}) {
        world.send_control(to, box, "short");
        world.send_control(to, box, std::string(3'000'000, 'x'));
      }
    }
    if (world.rank() == 0) {  // some receives are begun and not waited for
      world.poll_control(Mailbox::kWorker);
    }
    world.close();
    std::printf("ended\n");
  } else if (mode == "groups") {
    form_groups(world);
  } else if (mode == "builds") {
    world.check_same_build(baton::base::build_identity("1.0"));
    std::printf("the same build\n");
  } else if (mode == "watch_unread") {
    world.send_control((world.rank() + 1) % world.size(), baton::comm::Mailbox::kWatch, "late");
  } else {
    throw std::runtime_error("unknown mode " + mode);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    std::unique_ptr<baton::comm::Communicator> outlives_the_world;
    ProcessWorld world(&argc, &argv);
    if (mode == "unwind") {
      wait_for_peers(world);  // the exception passes through the world's destructor
    }
    if (mode == "outlive") {
      outlives_the_world = world.make_world_group();
      world.close();
      try {
        outlives_the_world->barrier();
      } catch (const baton::base::Error&) {
        std::printf("refused after the end\n");
      }
      return 0;
    }
    return run(mode, world);
  } catch (const baton::base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return baton::base::exit_code(error.kind());
  }
}
