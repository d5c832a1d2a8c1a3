#pragma once
// For tests that run under mpirun: the world they share and a fixture whose verdict all ranks agree
// on.
//
// A program of such tests is started once for each number of ranks, with BATON_TEST_RANKS set to
// that number and a filter that leaves out what needs more. It fails when the world has another
// size.

#include <gtest/gtest.h>

#include <memory>

#include "baton/comm/process_world.hpp"
#include "support/watchdog.hpp"

namespace baton::testing {

/// The world made by main.
comm::ProcessWorld& world();

/// Every test has 60 s (BATON_TEST_LIMIT_S changes that). One failing rank fails the case on all
/// ranks.
class MpiTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Ranks this case cannot do without; fewer is a failure, not a skip.
  virtual int min_ranks() const { return 1; }

 private:
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace baton::testing
