// The watchdog's judgement, with times written down by hand: silence, standing still, first steps,
// farewells, sleeping machines. Needs no second process.

#include "baton/work/hang_judge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/work/watchdog.hpp"

namespace baton::work {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kTimeout = 10;
constexpr double kFirstStep = 60;

Position report_of(int rank, std::int64_t step, double seconds_in_place) {
  Position report;
  report.world_rank = rank;
  report.group = 0;
  report.host = "node" + std::to_string(rank);
  report.pid = 1000 + rank;
  report.section = "train";
  report.item = "01-qa";
  report.step = step;
  report.is_first = step == 0;
  report.seconds_in_place = seconds_in_place;
  return report;
}

Position in_collective(Position report, std::int64_t number) {
  report.in_collective = true;
  report.num_collectives = number;
  return report;
}

TEST(Positions, SurviveTheWayThere) {
  Position sent = in_collective(report_of(3, 17, 2.25), 41);
  sent.may_wait = true;
  sent.is_first = true;
  sent.seconds_since_report = 0.5;
  sent.item = "expert \"ä\"";
  sent.has_left = true;
  const Position got = position_from(to_bytes(sent));
  EXPECT_TRUE(got.has_left);
  EXPECT_EQ(got.world_rank, 3);
  EXPECT_EQ(got.group, 0);
  EXPECT_EQ(got.host, "node3");
  EXPECT_EQ(got.pid, 1003);
  EXPECT_EQ(got.section, "train");
  EXPECT_EQ(got.item, sent.item);
  EXPECT_EQ(got.step, 17);
  EXPECT_EQ(got.num_collectives, 41);
  EXPECT_TRUE(got.in_collective);
  EXPECT_TRUE(got.may_wait);
  EXPECT_EQ(got.seconds_in_place, 2.25);
  EXPECT_EQ(got.seconds_since_report, 0.5);
  EXPECT_TRUE(got.is_first);
  EXPECT_LT(to_bytes(sent).size(), 128U);
}

TEST(Positions, DamageAndOtherVersionsAreRefused) {
  const std::string good = to_bytes(report_of(1, 2, 3));
  std::vector<std::string> bad{"", "x", good + "x", std::string(200, '\xff')};
  for (std::size_t length = 0; length < good.size(); ++length) {
    bad.push_back(good.substr(0, length));
  }
  std::string newer = good;
  ++newer[0];
  bad.push_back(newer);
  std::string odd = good;
  odd[5] = '\x7f';  // a host that is longer than all
  bad.push_back(odd);
  for (const std::string& bytes : bad) {
    try {
      position_from(bytes);
      ADD_FAILURE() << "accepted " << bytes.size() << " bytes";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    }
  }
}

class Judging : public ::testing::Test {
 protected:
  HangJudge judge_{{0, 1, 2}, {kTimeout, kFirstStep, false}, 0};
  void all_report(double now, std::int64_t step) {
    for (int rank = 0; rank < 3; ++rank) {
      judge_.on_report(report_of(rank, step, 0), now);
    }
  }
};

TEST_F(Judging, NobodyIsNamedWhileAllMove) {
  for (int step = 0; step < 100; ++step) {
    const double now = 9.0 * step;
    all_report(now, step);
    EXPECT_FALSE(judge_.judge(now + 8.9));
  }
}

TEST_F(Judging, ASilentRankIsNamedWithItsPlace) {
  all_report(100, 5);
  for (double now = 101; now <= 110; ++now) {
    judge_.on_report(report_of(0, 6, 0), now);
    judge_.on_report(in_collective(report_of(2, 6, 0), 9), now);
    EXPECT_FALSE(judge_.judge(now)) << now;
  }
  judge_.on_report(report_of(0, 6, 0), 110.1);
  judge_.on_report(in_collective(report_of(2, 6, 9), 9), 110.1);
  const auto verdict = judge_.judge(110.1);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(1));
  for (const char* part : {"rank 1", "node1", "pid 1001", "01-qa", "step 5", "\"train\""}) {
    EXPECT_THAT(verdict->text, HasSubstr(part));
  }
  EXPECT_EQ(judge_.position_of(1).pid, 1001);
}

TEST_F(Judging, ASilentRankIsNamedAlsoWhereItMightHaveWaitedOrLoaded) {
  Position waiting = report_of(1, 3, 0);
  waiting.may_wait = true;
  waiting.group = 1;
  Position loading = report_of(2, 0, 0);
  loading.group = 2;
  all_report(100, 5);
  judge_.on_report(waiting, 100);
  judge_.on_report(loading, 100);
  judge_.on_report(report_of(0, 6, 0), 110.5);
  const auto verdict = judge_.judge(110.5);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(1, 2));
}

TEST_F(Judging, ALoopWithoutEndIsNamedAndNotThoseThatWaitForIt) {
  judge_.on_report(in_collective(report_of(0, 5, 9.8), 7), 100);
  judge_.on_report(report_of(1, 5, 10.1), 100);
  judge_.on_report(in_collective(report_of(2, 5, 10.4), 7), 100);
  const auto verdict = judge_.judge(100);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(1));
}

TEST_F(Judging, ASkippedCollectiveIsNamed) {
  judge_.on_report(in_collective(report_of(0, 5, 11), 7), 100);
  judge_.on_report(in_collective(report_of(1, 5, 11), 7), 100);
  judge_.on_report(in_collective(report_of(2, 6, 11), 7), 100);
  const auto verdict = judge_.judge(100);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(2));
}

TEST_F(Judging, TheFirstStepHasItsOwnLimit) {
  for (int rank = 0; rank < 3; ++rank) {
    judge_.on_report(report_of(rank, 0, 59), 100);
  }
  EXPECT_FALSE(judge_.judge(100));
  for (int rank = 0; rank < 3; ++rank) {
    judge_.on_report(report_of(rank, 0, rank == 1 ? 60.5 : 2.0), 101);
  }
  const auto verdict = judge_.judge(101);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(1));
  judge_.on_report(report_of(1, 1, 0), 102);
  EXPECT_FALSE(judge_.judge(102));
}

TEST_F(Judging, ARankThatNeverReportsIsNamedAfterTheFirstLimit) {
  judge_.on_report(report_of(0, 1, 0), 59);
  judge_.on_report(report_of(2, 1, 0), 59);
  EXPECT_FALSE(judge_.judge(59.9));
  const auto verdict = judge_.judge(60.1);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(1));
}

TEST_F(Judging, WhoSaidFarewellIsNotMissed) {
  all_report(100, 5);
  Position farewell = report_of(1, 5, 0);
  farewell.has_left = true;
  judge_.on_report(farewell, 101);
  EXPECT_THAT(judge_.present_ranks(), ElementsAre(0, 2));
  judge_.on_report(report_of(0, 9, 0), 200);
  judge_.on_report(report_of(2, 9, 0), 200);
  EXPECT_FALSE(judge_.judge(200));
  EXPECT_FALSE(judge_.all_left());
  for (const int rank : {0, 2}) {
    farewell.world_rank = rank;
    judge_.on_report(farewell, 201);
  }
  EXPECT_TRUE(judge_.all_left());
  EXPECT_FALSE(judge_.judge(1000));
}

TEST_F(Judging, ASleepingMachineIsForgiven) {
  all_report(100, 5);
  GapFinder gaps(1, 100);
  const double lost = gaps.lost_since_last(3700);
  EXPECT_EQ(lost, 3599);
  EXPECT_TRUE(judge_.judge(3700));  // what would be said without it
  judge_.forgive(lost);
  EXPECT_FALSE(judge_.judge(3700));
  EXPECT_TRUE(judge_.judge(3700 + kTimeout));  // the clock runs on from there
}

TEST_F(Judging, AReportOfAStrangerIsOurOwnMistake) {
  EXPECT_THROW(judge_.on_report(report_of(7, 1, 0), 1), base::Error);
}

TEST(Gaps, SmallDelaysAreNone) {
  GapFinder gaps(0.5, 10);
  EXPECT_EQ(gaps.lost_since_last(10.5), 0);
  EXPECT_EQ(gaps.lost_since_last(12.4), 0);
  EXPECT_NEAR(gaps.lost_since_last(14.5), 1.6, 1e-9);
  EXPECT_EQ(gaps.lost_since_last(15.0), 0);
}

TEST(WatchingRankZero, OnlySilenceCounts) {
  HangJudge judge({0}, {kTimeout, kFirstStep, true}, 0);
  EXPECT_FALSE(judge.judge(59));
  EXPECT_TRUE(judge.judge(61));  // not a word since the start
  judge.on_report(report_of(0, 0, 500), 100);
  EXPECT_FALSE(judge.judge(109.9));  // where it stands is its own business
  const auto verdict = judge.judge(110.1);
  ASSERT_TRUE(verdict);
  EXPECT_THAT(verdict->culprits, ElementsAre(0));
  EXPECT_THAT(verdict->text, HasSubstr("node0"));
}

TEST(LastResortTest, EndsTheProcessAtItsDeadline) {
  EXPECT_EXIT(
      {
        LastResort last_resort;
        last_resort.arm(0.05, 8);
        std::this_thread::sleep_for(std::chrono::seconds(30));
      },
      ::testing::ExitedWithCode(8), "");
}

TEST(LastResortTest, ALaterCallCountsAnewAndTheEndOfItsScopeIsInTime) {
  EXPECT_EXIT(
      {
        {
          LastResort last_resort;
          last_resort.arm(0.05, 8);
          last_resort.arm(60, 9);
          std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
        _exit(3);
      },
      ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace baton::work
