#include "baton/work/hang_judge.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace baton::work {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kTimeout = 60;

/// A rank that waits in collective 40 of step 12 for as long as is said.
Position in_collective(int rank, double seconds, int group = 0) {
  Position position;
  position.world_rank = rank;
  position.group = group;
  position.host = fmt::format("node{}", rank / 4);
  position.pid = 1000 + rank;
  position.section = "reduce";
  position.item = "qa";
  position.step = 12;
  position.num_collectives = 40;
  position.in_collective = true;
  position.seconds_in_place = seconds;
  position.seconds_since_report = 0.5;
  return position;
}

/// A rank that computes.
Position computing(int rank, double seconds, int group = 0) {
  Position position = in_collective(rank, seconds, group);
  position.section = "train";
  position.num_collectives = 39;
  position.in_collective = false;
  return position;
}

Position waiting_for_work(int rank, double seconds, int group = 0) {
  Position position = computing(rank, seconds, group);
  position.section = "wait for work";
  position.item = "";
  position.may_wait = true;
  return position;
}

/// The same rank, whose last report came in so long ago; it had just moved.
Position silent(Position position, double seconds) {
  position.seconds_in_place = 0.2;
  position.seconds_since_report = seconds;
  return position;
}

std::vector<int> culprits_of(const std::vector<Position>& positions) {
  const auto verdict = judge_hang(positions, kTimeout);
  if (verdict) {
    // One line a culprit, whatever the order of the reports.
    EXPECT_EQ(std::count(verdict->text.begin(), verdict->text.end(), '\n') + 1,
              static_cast<std::ptrdiff_t>(verdict->culprits.size()));
    std::vector<Position> turned(positions.rbegin(), positions.rend());
    const auto again = judge_hang(turned, kTimeout);
    EXPECT_TRUE(again && again->text == verdict->text && again->culprits == verdict->culprits);
  }
  return verdict ? verdict->culprits : std::vector<int>{};
}

std::string text_of(const std::vector<Position>& positions) {
  const auto verdict = judge_hang(positions, kTimeout);
  return verdict ? verdict->text : "";
}

TEST(HangJudge, NobodyIsNamedWhileAllMove) {
  EXPECT_FALSE(judge_hang({}, kTimeout));
  EXPECT_THAT(culprits_of({computing(0, 1), computing(1, 59), in_collective(2, 59.4)}), IsEmpty());
}

TEST(HangJudge, ExactlyTheLimitIsNotBeyondIt) {
  Position rank = computing(0, 59.5);
  rank.seconds_since_report = 0.5;
  EXPECT_FALSE(judge_hang({rank}, kTimeout));
  rank.seconds_since_report = 0.75;
  EXPECT_TRUE(judge_hang({rank}, kTimeout));
}

TEST(HangJudge, StoppedProcessReportsNoLonger) {
  // Stopped in the middle of a step: the others wait for it in the next collective.
  const std::vector<Position> positions{in_collective(0, 60.5), silent(computing(1, 0), 60.2),
                                        in_collective(2, 61), in_collective(3, 60.9)};
  EXPECT_THAT(culprits_of(positions), ElementsAre(1));
  EXPECT_THAT(text_of(positions), HasSubstr("reports no longer"));
  EXPECT_THAT(text_of(positions), HasSubstr("last heard of 60.2 s ago"));
}

TEST(HangJudge, StoppedProcessIsNamedBeforeThoseThatWaitForItAreOver) {
  EXPECT_THAT(culprits_of({in_collective(0, 57), silent(computing(1, 0), 60.2)}), ElementsAre(1));
}

TEST(HangJudge, StoppedInsideACollective) {
  // It says that it is in the same collective as the others, but says it no more.
  EXPECT_THAT(
      culprits_of({in_collective(0, 61), in_collective(1, 61), silent(in_collective(2, 0), 60.5)}),
      ElementsAre(2));
}

TEST(HangJudge, SilenceShorterThanTheLimitCountsWhereTheRankWasStillBefore) {
  Position rank = silent(computing(1, 0), 50);
  rank.seconds_in_place = 11;
  EXPECT_THAT(text_of({in_collective(0, 61), rank}), HasSubstr("reports no longer"));
}

TEST(HangJudge, StoppedWhileItWaitedForWork) {
  // Then its group was given work and waits for it.
  EXPECT_THAT(culprits_of({in_collective(0, 61), silent(waiting_for_work(1, 0), 300)}),
              ElementsAre(1));
}

TEST(HangJudge, EndlessLoopIsInNoCollective) {
  const std::vector<Position> positions{in_collective(0, 61), in_collective(1, 61),
                                        computing(2, 61.5), in_collective(3, 61)};
  EXPECT_THAT(culprits_of(positions), ElementsAre(2));
  EXPECT_EQ(
      text_of(positions),
      "rank 2 (host node0, pid 1002, group 0), expert or chunk qa, step 12, section \"train\", 39 "
      "collectives, no progress for 62.0 s: it is in no collective of its group: a loop without "
      "end or a "
      "call that does not return");
}

TEST(HangJudge, EndlessLoopIsNamedBeforeThoseThatWaitForItAreOver) {
  EXPECT_THAT(culprits_of({in_collective(0, 55), computing(1, 61)}), ElementsAre(1));
}

TEST(HangJudge, SilenceGoesBeforeALoop) {
  EXPECT_THAT(culprits_of({in_collective(0, 61), computing(1, 61), silent(computing(2, 0), 61)}),
              ElementsAre(2));
}

TEST(HangJudge, TwoInALoopAreBothNamed) {
  EXPECT_THAT(culprits_of({in_collective(0, 61), computing(1, 61), computing(2, 61)}),
              ElementsAre(1, 2));
}

TEST(HangJudge, SkippedCollectiveShowsInTheCount) {
  Position skipped = in_collective(3, 61);
  skipped.num_collectives = 39;  // as far as the others, with one less
  const std::vector<Position> positions{in_collective(0, 61), in_collective(1, 61),
                                        in_collective(2, 61), skipped};
  EXPECT_THAT(culprits_of(positions), ElementsAre(3));
  EXPECT_THAT(text_of(positions), HasSubstr("another collective"));
  EXPECT_THAT(text_of(positions), HasSubstr("39 collectives"));
}

TEST(HangJudge, SkippedCollectiveShowsInThePlace) {
  Position ahead = in_collective(0, 61);
  ahead.step = 13;  // the same count, a step further
  EXPECT_THAT(culprits_of({ahead, in_collective(1, 61), in_collective(2, 61)}), ElementsAre(0));
  Position elsewhere = in_collective(2, 61);
  elsewhere.section = "save";
  EXPECT_THAT(culprits_of({in_collective(0, 61), in_collective(1, 61), elsewhere}), ElementsAre(2));
}

TEST(HangJudge, OfTwoRanksTheOneThatSkippedIsTheOneAhead) {
  Position further = in_collective(1, 61);
  further.step = 13;
  EXPECT_THAT(culprits_of({in_collective(0, 61), further}), ElementsAre(1));
  Position fewer = in_collective(0, 61);
  fewer.num_collectives = 39;
  EXPECT_THAT(culprits_of({fewer, in_collective(1, 61)}), ElementsAre(0));
  // Further and with one more: nothing says who is wrong.
  further.num_collectives = 41;
  EXPECT_THAT(culprits_of({in_collective(0, 61), further}), ElementsAre(0, 1));
  Position other_item = in_collective(1, 61);
  other_item.item = "sa";
  EXPECT_THAT(culprits_of({in_collective(0, 61), other_item}), ElementsAre(0, 1));
}

TEST(HangJudge, WhoSkippedAndWentOnToWaitForWorkIsNamed) {
  EXPECT_THAT(culprits_of({in_collective(0, 61), in_collective(1, 61), waiting_for_work(2, 61)}),
              ElementsAre(2));
}

TEST(HangJudge, WholeGroupInPlace) {
  const std::vector<Position> positions{in_collective(4, 61), in_collective(5, 62),
                                        in_collective(6, 61)};
  EXPECT_THAT(culprits_of(positions), ElementsAre(4, 5, 6));
  EXPECT_THAT(text_of(positions), HasSubstr("host node1"));
  EXPECT_THAT(text_of(positions), HasSubstr("no rank of its group comes out"));
}

TEST(HangJudge, ManyCampsNameTheWholeGroup) {
  std::vector<Position> positions;
  for (int rank = 0; rank < 4; ++rank) {
    positions.push_back(in_collective(rank, 61));
    positions.back().num_collectives = 40 + rank / 2 + (rank == 3 ? 1 : 0);  // 40 40 41 42
  }
  EXPECT_THAT(culprits_of(positions), ElementsAre(2, 3));
  positions[1].num_collectives = 43;  // four camps of one
  EXPECT_THAT(culprits_of(positions), ElementsAre(0, 1, 2, 3));
}

TEST(HangJudge, WaitingForWorkIsNeverAHang) {
  EXPECT_THAT(culprits_of({waiting_for_work(0, 1e5), waiting_for_work(1, 1e5)}), IsEmpty());
  EXPECT_THAT(culprits_of({silent(waiting_for_work(0, 0), 1e5)}), IsEmpty());
  // A leader that waits and a group that follows it in a collective it may wait in.
  Position follower = waiting_for_work(1, 1e5);
  follower.in_collective = true;
  EXPECT_THAT(culprits_of({waiting_for_work(0, 1e5), follower}), IsEmpty());
}

TEST(HangJudge, SlowButMovingIsNotNamed) {
  // Rank 2 needs far more than the limit to reach the collective, but moves; who waits for it is
  // not stuck either.
  EXPECT_THAT(culprits_of({in_collective(0, 400), in_collective(1, 390), computing(2, 20)}),
              IsEmpty());
  // Once it stands still it is the one.
  EXPECT_THAT(culprits_of({in_collective(0, 500), in_collective(1, 490), computing(2, 60.1)}),
              ElementsAre(2));
}

TEST(HangJudge, OnlyTheGroupThatStandsStillIsNamed) {
  EXPECT_THAT(culprits_of({computing(0, 3, 0), in_collective(1, 50, 0),   //
                           in_collective(2, 61, 1), computing(3, 61, 1),  //
                           waiting_for_work(4, 900, 2), computing(5, 1, 3)}),
              ElementsAre(3));
}

TEST(HangJudge, EachGroupThatStandsStillHasItsOwn) {
  const std::vector<Position> positions{in_collective(7, 61, 1), silent(computing(6, 0, 1), 61),
                                        in_collective(1, 61, 0), computing(2, 61, 0)};
  EXPECT_THAT(culprits_of(positions), ElementsAre(2, 6));
  EXPECT_THAT(text_of(positions), HasSubstr("rank 2"));
  EXPECT_THAT(text_of(positions), HasSubstr("\nrank 6"));
}

TEST(HangJudge, RanksInNoGroupAreJudgedTogether) {
  Position loading = computing(2, 61, -1);
  loading.item = "";
  loading.section = "load";
  const std::vector<Position> positions{in_collective(0, 61, -1), in_collective(1, 61, -1),
                                        loading};
  EXPECT_THAT(culprits_of(positions), ElementsAre(2));
  EXPECT_THAT(text_of(positions), HasSubstr("(host node0, pid 1002), section \"load\""));
}

TEST(HangJudge, OneRankAlone) {
  EXPECT_THAT(culprits_of({computing(0, 61)}), ElementsAre(0));
  EXPECT_THAT(culprits_of({in_collective(0, 61)}), ElementsAre(0));
  EXPECT_THAT(text_of({in_collective(0, 61)}), Not(HasSubstr("last heard")));
}

}  // namespace
}  // namespace baton::work
