#include "baton/checkpoint/checkpoint_writer.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

#include "baton/checkpoint/generation.hpp"
#include "checkpoint_fixture.hpp"
#include "training_state_fixture.hpp"

namespace baton::checkpoint {
namespace {

using ::testing::HasSubstr;
constexpr std::int64_t kSize = 1000;

class CheckpointWriterTest : public CheckpointTest {
 protected:
  std::filesystem::path folder() const { return folder_ / "01-qa"; }
  std::int64_t newest_step() const {
    const auto state = load_newest_generation(folder()).state;
    return state ? state->step : -1;
  }
};

// As a trainer does it: into the memory that is there.
std::function<void(expert::TrainingState&)> copy_of(const expert::TrainingState& from) {
  return [&from](expert::TrainingState& to) {
    ASSERT_EQ(to.parameters.size(), from.parameters.size());
    std::copy(from.parameters.begin(), from.parameters.end(), to.parameters.begin());
    std::copy(from.first_moment.begin(), from.first_moment.end(), to.first_moment.begin());
    std::copy(from.second_moment.begin(), from.second_moment.end(), to.second_moment.begin());
    to.task = from.task;
    to.identity = from.identity;
    to.seed = from.seed;
    to.step = from.step;
    to.num_updates = from.num_updates;
    to.skipped_updates = from.skipped_updates;
    to.first_loss = from.first_loss;
    to.last_loss = from.last_loss;
    to.seconds = from.seconds;
    to.num_tokens = from.num_tokens;
  };
}

TEST_F(CheckpointWriterTest, SavesWhatItIsGiven) {
  std::vector<SaveReport> reports;
  CheckpointWriter writer(folder(), kSize,
                          [&](const SaveReport& report) { reports.push_back(report); });
  EXPECT_EQ(writer.newest_saved_step(), -1);
  const float* memory = nullptr;
  for (const std::int64_t step : {1, 2, 3, 4}) {
    const expert::TrainingState state = training_state(step);
    writer.save_and_wait([&, fill = copy_of(state)](expert::TrainingState& to) {
      EXPECT_EQ(to.parameters.data(), memory == nullptr ? to.parameters.data() : memory);
      memory = to.parameters.data();
      fill(to);
    });
    EXPECT_EQ(writer.newest_saved_step(), step);
    const auto loaded = load_newest_generation(folder()).state;
    ASSERT_TRUE(loaded);
    expect_same(*loaded, state);
  }
  ASSERT_EQ(reports.size(), 4U);
  EXPECT_EQ(reports[3].path, folder() / "step-00000004");
  EXPECT_EQ(reports[3].step, 4);
  EXPECT_GT(reports[3].copy_seconds, 0);
  EXPECT_GT(reports[3].write_seconds, 0);
}

TEST_F(CheckpointWriterTest, OneSaveAtATime) {
  std::promise<void> go_on;
  std::shared_future<void> signal = go_on.get_future().share();
  CheckpointWriter writer(folder(), kSize, [signal](const SaveReport&) { signal.wait(); });
  EXPECT_TRUE(writer.save(copy_of(training_state(1))));
  int calls = 0;
  EXPECT_FALSE(writer.save([&](expert::TrainingState&) { ++calls; }));
  EXPECT_EQ(calls, 0);
  go_on.set_value();
  writer.wait();
  const expert::TrainingState second = training_state(2);
  EXPECT_TRUE(writer.save(copy_of(second)));
  writer.wait();
  EXPECT_EQ(newest_step(), 2);
}

TEST_F(CheckpointWriterTest, AnErrorComesBackAtTheNextCall) {
  CheckpointWriter writer(folder(), kSize, {});
  const expert::TrainingState state = training_state(1);
  write_all(folder(), "a file in the way");
  EXPECT_TRUE(writer.save(copy_of(state)));
  base::Error error = error_of([&] { writer.wait(); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr(folder().string()));
  EXPECT_NO_THROW(writer.wait());  // said once

  error = error_of([&] { writer.save_and_wait(copy_of(state)); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  EXPECT_NO_THROW(writer.wait());

  EXPECT_TRUE(writer.save(copy_of(state)));
  while (true) {  // busy for a while, then the error
    try {
      if (writer.save([](expert::TrainingState&) { FAIL(); })) {
        FAIL() << "the error was lost";
      }
    } catch (const base::Error& late) {
      EXPECT_EQ(late.kind(), base::ErrorKind::kStorage);
      break;
    }
    std::this_thread::yield();
  }
  EXPECT_EQ(writer.newest_saved_step(), -1);
  std::filesystem::remove(folder());  // and afterwards it works again
  writer.save_and_wait(copy_of(state));
  EXPECT_EQ(newest_step(), 1);
}

TEST_F(CheckpointWriterTest, AFailingFillLeavesTheWriterUsable) {
  CheckpointWriter writer(folder(), kSize, {});
  EXPECT_THROW(writer.save([](expert::TrainingState& to) {
    to.parameters.clear();
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  const expert::TrainingState state = training_state(1);
  EXPECT_TRUE(writer.save(copy_of(state)));
  writer.wait();
  EXPECT_EQ(newest_step(), 1);
}

TEST_F(CheckpointWriterTest, AFailingReportIsAnErrorToo) {
  CheckpointWriter writer(folder(), kSize,
                          [](const SaveReport&) { throw std::runtime_error("log is full"); });
  const expert::TrainingState state = training_state(1);
  EXPECT_TRUE(writer.save(copy_of(state)));
  EXPECT_THROW(writer.wait(), std::runtime_error);
  EXPECT_EQ(writer.newest_saved_step(), 1);
}

TEST_F(CheckpointWriterTest, TheDestructorWaits) {
  const expert::TrainingState state = training_state(5);
  {
    CheckpointWriter writer(folder(), kSize, {});
    EXPECT_TRUE(writer.save(copy_of(state)));
  }
  EXPECT_EQ(newest_step(), 5);
  ::testing::internal::CaptureStderr();
  {
    CheckpointWriter writer(folder() / "step-00000005" / "state.h5", kSize, {});
    EXPECT_TRUE(writer.save(copy_of(state)));
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("Not a directory"));
}

TEST_F(CheckpointWriterTest, ThreadsTakeTurns) {
  CheckpointWriter writer(folder(), kSize, {});
  std::atomic<std::int64_t> step{0};
  std::atomic<int> inside{0};
  const auto fill = [&](expert::TrainingState& to) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    const expert::TrainingState from = training_state(++step);
    copy_of(from)(to);
    EXPECT_EQ(inside.fetch_sub(1), 1);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        writer.save_and_wait(fill);
      }
    });
  }
  int saved = 0;
  for (int k = 0; k < 20; ++k) {
    saved += writer.save(fill) ? 1 : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  writer.wait();
  EXPECT_EQ(step, 15 + saved);
  EXPECT_EQ(writer.newest_saved_step(), step);
  EXPECT_EQ(newest_step(), step);
}

}  // namespace
}  // namespace baton::checkpoint
