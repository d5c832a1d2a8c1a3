// A small program for watchdog_test: ranks that work in step under a watchdog, one of which does
// what the first argument says.
//   watchdog_probe MODE RUN RANK TIMEOUT

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/agree.hpp"
#include "baton/comm/process_world.hpp"
#include "baton/run/run_status.hpp"
#include "baton/work/heartbeat.hpp"
#include "baton/work/watchdog.hpp"
#include "baton/work/work_loop.hpp"

namespace {

using baton::comm::Communicator;
using baton::comm::ProcessWorld;
using baton::work::Heartbeat;

constexpr int kNumSteps = 40;
constexpr int kBadStep = 10;

struct Probe {
  std::string mode;
  std::filesystem::path run;
  int bad_rank = 0;
  double timeout_seconds = 2;

  bool does(const char* what, const ProcessWorld& world) const {
    return mode == what && world.rank() == bad_rank;
  }
};

[[noreturn]] void loop_for_ever() {
  static volatile bool is_true = true;
  while (is_true) {
  }
  std::abort();
}

void train(const Probe& probe, ProcessWorld& world, Heartbeat& heartbeat, Communicator& group) {
  std::vector<float> gradient(1000, 1.0f);
  for (int step = 0; step < kNumSteps; ++step) {
    heartbeat.set_place("train", "01-qa", step);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (step == kBadStep && probe.does("stop", world)) {
      raise(SIGSTOP);
    }
    if (step == kBadStep && probe.does("loop", world)) {
      loop_for_ever();
    }
    if (step == kBadStep && probe.does("throw", world)) {
      throw baton::base::Error(baton::base::ErrorKind::kData, "a row is cut off");
    }
    if (!(step == kBadStep && probe.does("skip", world))) {
      const Heartbeat::Section reduce(heartbeat, "reduce");
      group.all_reduce_sum({gradient.data(), gradient.size(), false});
    }
    const Heartbeat::Section agree(heartbeat, "agree");
    group.barrier();
  }
}

// Rank 0 coordinates the others. One of them sends what no coordinator understands, twice; or the
// coordinator itself stops coordinating.
void trouble_the_coordinator(const Probe& probe, ProcessWorld& world, Heartbeat& heartbeat) {
  baton::work::WorkRequest request;
  for (int rank = 1; rank < world.size(); ++rank) {
    request.groups.push_back({rank});
    request.items.push_back({"0" + std::to_string(rank) + "-qa", 1, 0, {}});
  }
  request.on_event = [&](const baton::coordinator::Event&) {
    if (probe.mode == "block") {  // as a disk that does not answer
      loop_for_ever();
    }
  };
  request.run_item = [&](int, int, Communicator&, baton::work::ItemContext&) {
    for (int i = 0; i < (probe.does("confuse", world) ? 2 : 0); ++i) {
      world.send_control(0, baton::comm::Mailbox::kCoordinator, "nonsense");
    }
    return baton::work::ItemResult{};
  };
  const auto group = world.split(request.groups);
  baton::work::StopWatcher stop_watcher;
  baton::work::run_work(world, group.get(), world.rank() - 1, request, stop_watcher, heartbeat);
}

void work(const Probe& probe, ProcessWorld& world) {
  std::ofstream(probe.run / ("pid." + std::to_string(world.rank()))) << getpid();
  Heartbeat heartbeat;
  baton::work::WatchdogOptions options;
  options.timeout_seconds = probe.timeout_seconds;
  options.run = probe.run;
  options.command = "train";
  baton::work::Watchdog watchdog(world, heartbeat, options);
  if (probe.mode == "confuse" || probe.mode == "block") {
    trouble_the_coordinator(probe, world, heartbeat);
  }
  auto group = world.make_world_group();
  std::optional<Heartbeat::GroupScope> watched;
  watched.emplace(heartbeat, 0, *group);
  if (probe.mode == "wait") {  // some rank has nothing to do for longer than the limit
    const Heartbeat::Section wait(heartbeat, "wait for work", true);
    if (world.rank() == probe.bad_rank) {
      std::this_thread::sleep_for(std::chrono::duration<double>(2 * probe.timeout_seconds));
    }
    group->barrier();
  }
  train(probe, world, heartbeat, *group);
  watched.reset();
  group->close();
  if (probe.does("end_early", world)) {  // does not come to the end with the others
    heartbeat.set_place("save", "01-qa", kNumSteps);
    loop_for_ever();
  }
  watchdog.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    return 2;
  }
  const Probe probe{argv[1], argv[2], std::atoi(argv[3]), std::atof(argv[4])};
  ProcessWorld world(&argc, &argv);
  if (world.rank() == 0) {
    baton::run::begin_status(probe.run, baton::run::status_here("train", 0));
  }
  baton::comm::agree(world.everyone(), std::nullopt);
  try {
    work(probe, world);
    world.close();
    std::printf("done\n");
    return 0;
  } catch (const baton::base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    world.abort(baton::base::exit_code(error.kind()));
  }
}
