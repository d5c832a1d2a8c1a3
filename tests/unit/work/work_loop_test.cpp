// The loop that moves the coordinator's messages, in a world of one: errors of the coordinator's
// thread end the work, one in an orderly way and a second one at once.

#include "baton/work/work_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "baton/base/error.hpp"
#include "baton/comm/communicator.hpp"
#include "support/watchdog.hpp"

namespace baton::work {
namespace {

// A stop is asked for on the way out, and that lasts as long as the process: each case has its own.
class WorkLoopDeathTest : public ::testing::Test {
 protected:
  WorkLoopDeathTest() { request_.groups = {{0}}; }

  void add_items(int count) {
    for (int i = 0; i < count; ++i) {
      request_.items.push_back({"item " + std::to_string(i), 1, 0, {}});
    }
  }

  WorkOutcome run() {
    const testing::Watchdog limit("a case of WorkLoop", 0, std::chrono::seconds(20));
    StopWatcher stop_watcher;
    Heartbeat heartbeat;
    const auto group = world_.make_world_group();
    return run_work(world_, group.get(), 0, request_, stop_watcher, heartbeat);
  }

  /// Ends the process: 0 when run() throws an error of this kind.
  [[noreturn]] void expect_error(base::ErrorKind kind) {
    try {
      run();
    } catch (const base::Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      std::_Exit(error.kind() == kind ? 0 : 1);
    }
    std::_Exit(2);
  }

  comm::ProcessWorld world_{nullptr, nullptr};
  WorkRequest request_;
  int num_done_ = 0;
};

TEST_F(WorkLoopDeathTest, ItemsAreDone) {
  EXPECT_EXIT(
      {
        add_items(3);
        request_.run_item = [&](int, int, comm::Communicator&, ItemContext&) {
          ++num_done_;
          return ItemResult{};
        };
        request_.on_event = [](const coordinator::Event&) {};
        const WorkOutcome outcome = run();
        std::_Exit(num_done_ == 3 && outcome.missing.empty() && !outcome.stopped ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(WorkLoopDeathTest, AnErrorOfAnEventStopsTheWorkAndIsThrownAtItsEnd) {
  EXPECT_EXIT(
      {
        add_items(3);
        request_.run_item = [&](int, int, comm::Communicator&, ItemContext&) {
          ++num_done_;
          return ItemResult{};
        };
        request_.on_event = [](const coordinator::Event& event) {
          if (std::holds_alternative<coordinator::ItemFinished>(event)) {
            throw base::Error(base::ErrorKind::kStorage, "no space left for run.json");
          }
        };
        expect_error(base::ErrorKind::kStorage);
      },
      ::testing::ExitedWithCode(0), "no space left");
}

TEST_F(WorkLoopDeathTest, ASecondErrorLeavesNobodyWaiting) {
  EXPECT_EXIT(
      {
        add_items(3);
        request_.run_item = [&](int, int, comm::Communicator&, ItemContext&) {
          world_.send_control(0, comm::Mailbox::kCoordinator, "nonsense");
          world_.send_control(0, comm::Mailbox::kCoordinator, "more of it");
          return ItemResult{};
        };
        request_.on_event = [](const coordinator::Event&) {};
        expect_error(base::ErrorKind::kCommunication);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace baton::work
