// Cases that must fail, run by launch_test only: they show that the fixture sees what it promises
// to see.

#include <stdexcept>

#include "support/mpi_main.hpp"

namespace {

class Judge : public baton::testing::MpiTest {};

TEST_F(Judge, OneRankFails) {
  EXPECT_NE(baton::testing::world().rank(), 1);
}

TEST_F(Judge, OneRankThrows) {
  if (baton::testing::world().rank() == 1) {
    throw std::runtime_error("thrown by a case");
  }
}

TEST_F(Judge, OneRankHangs) {
  if (baton::testing::world().rank() != 1) {
    baton::testing::world().make_world_group();  // waits for a rank that never comes
  }
}

}  // namespace
