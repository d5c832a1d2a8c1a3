#include "baton/work/stop_signal.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace baton::work {
namespace {

// Each case ends its own process, so that flags and handlers do not leak into other tests.

TEST(StopSignalDeathTest, TheFirstSignalSetsTheFlagAndASecondAtOnceIsTheSame) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        const bool before = stop_requested();
        raise(SIGTERM);
        raise(SIGTERM);
        std::_Exit(!before && stop_requested() && stop_signal() == SIGTERM ? 11 : 12);
      },
      ::testing::ExitedWithCode(11), "");
}

TEST(StopSignalDeathTest, ALaterSecondSignalLeavesNow) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        raise(SIGINT);
        sleep(3);
        raise(SIGUSR1);  // never leaves
        raise(SIGINT);
        std::_Exit(12);
      },
      ::testing::ExitedWithCode(128 + SIGINT), "");
}

}  // namespace
}  // namespace baton::work
