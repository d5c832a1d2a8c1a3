// What a rank says of itself, with a clock of the test's own, and who is slow.

#include "baton/work/heartbeat.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace baton::work {
namespace {

class HeartbeatTest : public ::testing::Test {
 protected:
  double now_ = 100;
  Heartbeat heartbeat_{[this] { return now_; }};
};

TEST_F(HeartbeatTest, ProgressRestartsTheClock) {
  now_ = 103;
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 3);
  EXPECT_EQ(heartbeat_.position().section, "start");
  EXPECT_TRUE(heartbeat_.position().is_first);  // loading
  heartbeat_.set_place("train", "01-qa", 6, true);
  EXPECT_TRUE(heartbeat_.position().is_first);
  heartbeat_.set_place("train", "01-qa", 7);
  EXPECT_FALSE(heartbeat_.position().is_first);
  now_ = 105;
  Position place = heartbeat_.position();
  EXPECT_EQ(place.section, "train");
  EXPECT_EQ(place.item, "01-qa");
  EXPECT_EQ(place.step, 7);
  EXPECT_EQ(place.group, -1);
  EXPECT_FALSE(place.may_wait);
  EXPECT_EQ(place.seconds_in_place, 2);
  heartbeat_.note_progress();
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
  now_ = 110;
  heartbeat_.set_may_wait(true);
  EXPECT_TRUE(heartbeat_.position().may_wait);
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
}

TEST_F(HeartbeatTest, SectionsNestAndCountAsProgress) {
  heartbeat_.set_place("train", "01-qa", 7);
  heartbeat_.set_may_wait(true);
  now_ = 110;
  {
    const Heartbeat::Section save(heartbeat_, "save");
    EXPECT_EQ(heartbeat_.position().section, "save");
    EXPECT_EQ(heartbeat_.position().item, "01-qa");
    EXPECT_FALSE(heartbeat_.position().may_wait);
    EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
    {
      const Heartbeat::Section wait(heartbeat_, "wait for work", true);
      EXPECT_TRUE(heartbeat_.position().may_wait);
    }
    EXPECT_EQ(heartbeat_.position().section, "save");
    EXPECT_FALSE(heartbeat_.position().may_wait);
    now_ = 115;
  }
  EXPECT_EQ(heartbeat_.position().section, "train");
  EXPECT_TRUE(heartbeat_.position().may_wait);
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
}

TEST_F(HeartbeatTest, CollectivesOfTheGroupAreProgress) {
  std::atomic<std::int64_t> count = 5;
  heartbeat_.set_group(2, [&count] { return comm::CommunicatorActivity{count, count % 2 == 1}; });
  EXPECT_EQ(heartbeat_.position().group, 2);
  now_ = 104;
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 4);
  EXPECT_TRUE(heartbeat_.position().in_collective);
  count = 6;
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
  EXPECT_EQ(heartbeat_.position().num_collectives, 6);
  heartbeat_.leave_group();
  count = 7;
  now_ = 106;
  EXPECT_EQ(heartbeat_.position().group, -1);
  EXPECT_EQ(heartbeat_.position().num_collectives, 0);
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 2);
}

TEST_F(HeartbeatTest, TimeInWhichTheProcessDidNotRunDoesNotCount) {
  now_ = 110;
  heartbeat_.forgive(8);
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 2);
  EXPECT_EQ(heartbeat_.seconds_run(), 102);
  heartbeat_.forgive(50);  // more than there was: never before the last progress
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 0);
}

TEST_F(HeartbeatTest, AHelperThatStandsStillIsWhereTheRankStands) {
  heartbeat_.set_place("train", "01-qa", 7);
  const Heartbeat::Section waiting(heartbeat_, "wait for work", true);
  {
    Heartbeat::Helper coordinator(heartbeat_, "coordinate");
    now_ = 105;
    coordinator.note_progress();
    EXPECT_EQ(heartbeat_.position().section, "wait for work");
    EXPECT_TRUE(heartbeat_.position().may_wait);
    now_ = 112;  // the main thread may wait; the helper may not
    EXPECT_EQ(heartbeat_.position().section, "coordinate");
    EXPECT_FALSE(heartbeat_.position().may_wait);
    EXPECT_EQ(heartbeat_.position().seconds_in_place, 7);
    heartbeat_.forgive(6.5);
    EXPECT_EQ(heartbeat_.position().section, "wait for work");
  }
  now_ = 200;
  EXPECT_EQ(heartbeat_.position().section, "wait for work");
}

TEST_F(HeartbeatTest, OfTwoThatStandStillTheLongerCounts) {
  heartbeat_.set_place("train", "01-qa", 7);
  now_ = 103;
  Heartbeat::Helper coordinator(heartbeat_, "coordinate");
  now_ = 110;
  EXPECT_EQ(heartbeat_.position().section, "train");
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 10);
  heartbeat_.note_progress();
  now_ = 111;
  EXPECT_EQ(heartbeat_.position().section, "coordinate");
  EXPECT_EQ(heartbeat_.position().seconds_in_place, 8);
}

TEST_F(HeartbeatTest, ThreadsMayReadWhileOneWrites) {
  Heartbeat heartbeat;
  std::atomic<bool> is_over = false;
  std::thread reader([&] {
    while (!is_over) {
      const Position place = heartbeat.position();
      EXPECT_EQ(place.item, place.section == "start" ? "" : place.section + " item");
      EXPECT_GE(place.seconds_in_place, 0);
    }
  });
  for (int i = 0; i < 20000; ++i) {
    const std::string name = i % 2 == 0 ? "a section with a long name" : "another";
    heartbeat.set_place(name, name + " item", i);
  }
  is_over = true;
  reader.join();
}

TEST(Stragglers, SlowRanksAreNamed) {
  const std::vector<double> seconds{0.2, 0.21, 0.42, 0.2};
  EXPECT_EQ(straggler_text(seconds), "rank 2: 0.420 s a step, 2.1 times the group's 0.200 s");
  EXPECT_EQ(straggler_text(seconds, 2.5), "");
}

TEST(Stragglers, TheSmallerOfTwoMiddlesIsTheMeasure) {
  // Of two ranks the faster one; of two fast and two slow ones both slow ones.
  EXPECT_EQ(straggler_text(std::vector<double>{1.0, 1.6}),
            "rank 1: 1.600 s a step, 1.6 times the group's 1.000 s");
  EXPECT_EQ(straggler_text(std::vector<double>{2.0, 1.0, 3.0, 1.0}),
            "rank 0: 2.000 s a step, 2.0 times the group's 1.000 s; "
            "rank 2: 3.000 s a step, 3.0 times the group's 1.000 s");
}

TEST(Stragglers, NobodyToName) {
  EXPECT_EQ(straggler_text({}), "");
  EXPECT_EQ(straggler_text(std::vector<double>{9.0}), "");
  EXPECT_EQ(straggler_text(std::vector<double>{1.0, 1.5, 1.2}), "");  // not more than 1.5 times
  EXPECT_EQ(straggler_text(std::vector<double>{0.0, 0.0}), "");
}

}  // namespace
}  // namespace baton::work
