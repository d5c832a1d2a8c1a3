// Training that is left and taken up again, at every update, on groups of other sizes, and while
// updates are left out.

#include <gmock/gmock.h>

#include <atomic>
#include <limits>
#include <thread>

#include "baton/base/error.hpp"
#include "baton/train/trainer.hpp"
#include "training_fixture.hpp"

namespace baton::test {
namespace {

using expert::TrainingState;
using train::Trainer;

class TrainingStateTest : public LearnerTest {
 protected:
  TrainingStateTest() {
    options_.train_batch_size = 7;
    options_.num_train_epochs = 1.5;
    options_.weight_decay = 0.01;
    options_.warmup_ratio = 0.3;
  }

  static void expect_same(const TrainingState& a, const TrainingState& b) {
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.parameters, b.parameters);
    EXPECT_EQ(a.first_moment, b.first_moment);
    EXPECT_EQ(a.second_moment, b.second_moment);
    EXPECT_EQ(a.skipped_updates, b.skipped_updates);
    EXPECT_EQ(a.first_loss, b.first_loss);
    EXPECT_EQ(a.last_loss, b.last_loss);
    EXPECT_EQ(a.num_tokens, b.num_tokens);
  }

  TrainingState finish(Trainer& trainer) const {
    while (!trainer.learner().done()) {
      trainer.train_step();
    }
    return state_of(trainer);
  }
};

TEST_F(TrainingStateTest, EveryUpdateCanBeTheLastBeforeAPause) {
  const auto undisturbed = new_trainer(*group_);
  const TrainingState expected = finish(*undisturbed);
  ASSERT_GE(expected.num_updates, 5);
  for (std::int64_t pause = 0; pause <= expected.num_updates; ++pause) {
    const auto first = new_trainer(*group_);
    for (std::int64_t step = 0; step < pause; ++step) {
      first->train_step();
    }
    const auto second = new_trainer(*group_);
    second->learner().restore(state_of(*first));
    EXPECT_EQ(second->learner().num_steps(), pause);
    expect_same(finish(*second), expected);
  }
}

TEST_F(TrainingStateTest, AnotherNumberOfRanksGoesOnWithTheSameBits) {
  const auto undisturbed = new_trainer(*group_);
  const TrainingState expected = finish(*undisturbed);
  const auto first = new_trainer(*group_);
  first->train_step();
  first->train_step();
  const TrainingState middle = state_of(*first);
  for (const int size : {2, 3}) {
    testing::run_ranks(size, [&](comm::Communicator& group) {
      const auto second = new_trainer(group);
      second->learner().restore(middle);
      expect_same(finish(*second), expected);
    });
  }
}

TEST_F(TrainingStateTest, AStopInsideAnUpdateLeavesTheStateOfTheOneBefore) {
  const auto undisturbed = new_trainer(*group_);
  const TrainingState expected = finish(*undisturbed);
  for (const int size : {1, 2, 3}) {
    // The n-th slot this rank looks at is where it wants to stop.
    for (const int stop_at : {1, 2, 3, 4, 6}) {
      testing::run_ranks(size, [&](comm::Communicator& group) {
        train::TrainerOptions options = options_;
        int num_slots = 0;
        options.before_slot = [&] { return group.rank() == size - 1 && ++num_slots == stop_at; };
        Trainer first(*model_, group, training_rows(golden_), adapter_, options);
        while (!first.learner().done() && !first.stopped()) {
          first.train_step();
        }
        EXPECT_TRUE(first.stopped());
        const auto second = new_trainer(group);
        second->learner().restore(state_of(first));
        expect_same(finish(*second), expected);
      });
    }
  }
}

TEST_F(TrainingStateTest, LeftOutUpdatesStayLeftOutAfterAPause) {
  const auto undisturbed = new_trainer(*group_);
  undisturbed->learner().leave_out(1, 2);
  const TrainingState expected = finish(*undisturbed);
  EXPECT_EQ(expected.skipped_updates, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(expected.step, expected.num_updates);
  const auto plain = new_trainer(*group_);
  EXPECT_NE(finish(*plain).parameters, expected.parameters);
  for (std::int64_t pause = 0; pause <= expected.num_updates; ++pause) {
    const auto first = new_trainer(*group_);
    first->learner().leave_out(1, 2);
    for (std::int64_t step = 0; step < pause; ++step) {
      first->train_step();
    }
    const auto second = new_trainer(*group_);
    second->learner().restore(state_of(*first));
    expect_same(finish(*second), expected);
  }
}

TEST_F(TrainingStateTest, AGradientThatIsNotFiniteOnOneRankIsSeenByAll) {
  const auto errors = errors_on_ranks(4, [&](comm::Communicator& group) {
    train::TrainerOptions options = options_;
    options.on_gradient = [&](std::int64_t step, comm::FloatBuffer gradient) {
      if (step == 1 && group.rank() == 2) {
        gradient.data[5] = std::numeric_limits<float>::quiet_NaN();
      }
    };
    Trainer trainer(*model_, group, training_rows(golden_), adapter_, options);
    trainer.train_step();
    const TrainingState before = state_of(trainer);
    try {
      trainer.train_step();
    } catch (const train::NonFiniteUpdate& error) {
      EXPECT_EQ(error.update(), 1);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("rows"));
      expect_same(state_of(trainer), before);
      trainer.learner().leave_out(error.update(), error.update());
      EXPECT_TRUE(finish(trainer).step == trainer.learner().num_updates());
      throw;
    }
  });
  for (const std::exception_ptr& error : errors) {
    EXPECT_TRUE(error);
  }
}

// What a saving thread sees is always the state between two updates.
TEST_F(TrainingStateTest, AnotherThreadCopiesWholeStates) {
  std::vector<TrainingState> whole;
  {
    const auto trainer = new_trainer(*group_);
    whole.push_back(state_of(*trainer));
    while (!trainer->learner().done()) {
      trainer->train_step();
      whole.push_back(state_of(*trainer));
    }
  }
  const auto trainer = new_trainer(*group_);
  std::atomic<bool> done = false;
  std::vector<TrainingState> seen;
  std::thread watcher([&] {
    while (!done) {
      seen.push_back(state_of(*trainer));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  finish(*trainer);
  done = true;
  watcher.join();
  ASSERT_FALSE(seen.empty());
  for (const TrainingState& state : seen) {
    expect_same(state, whole[static_cast<std::size_t>(state.step)]);
  }
}

TEST_F(TrainingStateTest, RefusesStateOfAnotherTraining) {
  const auto trainer = new_trainer(*group_);
  trainer->train_step();
  const TrainingState good = state_of(*trainer);
  const auto refused = [&](const std::function<void(TrainingState&)>& change) {
    TrainingState state = good;
    change(state);
    try {
      new_trainer(*group_)->learner().restore(state);
    } catch (const base::Error& error) {
      return error.kind() == base::ErrorKind::kModel;
    }
    return false;
  };
  EXPECT_FALSE(refused([](TrainingState&) {}));
  EXPECT_TRUE(refused([](TrainingState& state) { state.parameters.pop_back(); }));
  EXPECT_TRUE(refused([](TrainingState& state) { state.first_moment.push_back(0); }));
  EXPECT_TRUE(refused([](TrainingState& state) { state.second_moment.clear(); }));
  EXPECT_TRUE(refused([](TrainingState& state) { ++state.num_updates; }));
  EXPECT_TRUE(refused([](TrainingState& state) { state.step = state.num_updates + 1; }));
  EXPECT_TRUE(refused([](TrainingState& state) { state.step = -1; }));
  EXPECT_TRUE(refused([](TrainingState& state) { ++state.seed; }));
}

}  // namespace
}  // namespace baton::test
