#pragma once
// What the tests of communicators over real processes share: the world's group for each case, and
// data of small whole numbers, so that sums are exact in any order.

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "comm/mpi_communicator.hpp"
#include "support/mpi_main.hpp"

namespace baton::testing {

inline comm::FloatBuffer buffer_of(std::vector<float>& values) {
  return {values.data(), values.size(), false};
}

/// value(i) for i < count.
template <typename Value>
std::vector<float> filled(std::size_t count, Value value) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(value(static_cast<int>(i)));
  }
  return values;
}

inline int sum_of_ranks(int size) {
  return size * (size + 1) / 2;
}  // of rank + 1

inline comm::ControlMessage wait_for_message(comm::Mailbox box) {
  for (;;) {
    if (auto message = world().poll_control(box)) {
      return *message;
    }
    std::this_thread::yield();
  }
}

class AnyRanks : public MpiTest {
 protected:
  void SetUp() override {
    MpiTest::SetUp();
    group_ = world().make_world_group();
  }
  void TearDown() override {
    if (group_) {
      group_->close();
    }
    MpiTest::TearDown();
  }
  /// Pieces of `limit` elements instead of 2^31 - 1.
  void lower_piece_limit(std::size_t limit) {
    dynamic_cast<comm::MpiCommunicator&>(*group_).set_piece_limit(limit);
  }

  std::unique_ptr<comm::Communicator> group_;
};
class FromTwoRanks : public AnyRanks {
  int min_ranks() const override { return 2; }
};
class FromThreeRanks : public AnyRanks {
  int min_ranks() const override { return 3; }
};
class FourRanks : public AnyRanks {
  int min_ranks() const override { return 4; }
};

}  // namespace baton::testing
