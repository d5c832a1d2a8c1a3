#include "baton/coordinator/coordinator.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "baton/base/error.hpp"

namespace baton::coordinator {
namespace {

using base::ErrorKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Texts = std::vector<std::string>;

/// One short word a message or event, so that whole steps can be compared: "2<-assign 5#1" is item
/// 5 to group 2.
Texts words_of(const Actions& actions) {
  Texts words;
  for (const Outgoing& out : actions.messages) {
    if (const auto* assign = std::get_if<Assign>(&out.message)) {
      words.push_back(fmt::format("{}<-assign {}#{}", out.group, assign->item, assign->attempt));
    } else {
      words.push_back(fmt::format("{}<-{}", out.group,
                                  std::holds_alternative<Stop>(out.message) ? "stop" : "leave"));
    }
  }
  struct Visitor {
    std::string operator()(const ItemStarted& e) const {
      return fmt::format("started {}#{} on {}", e.item, e.attempt, e.group);
    }
    std::string operator()(const ItemProgress& e) const {
      return fmt::format("progress {} step {} on {}", e.progress.item, e.progress.step, e.group);
    }
    std::string operator()(const ItemFinished& e) const {
      return fmt::format("finished {} on {} {}", e.item, e.group, e.payload);
    }
    std::string operator()(const ItemFailed& e) const {
      return fmt::format("failed {}#{} on {} {} {} {}", e.item, e.attempt, e.group,
                         base::kind_name(e.kind), e.text, e.will_retry ? "again" : "for good");
    }
    std::string operator()(const ItemGivenUp& e) const {
      return fmt::format("given up {} for {}", e.item, e.missing);
    }
    std::string operator()(const GroupLeft& e) const { return fmt::format("left {}", e.group); }
  };
  for (const Event& event : actions.events) {
    words.push_back(std::visit(Visitor{}, event));
  }
  return words;
}

WorkItem item_of(double cost, std::vector<int> after = {}, int max_useful_ranks = 0) {
  return {fmt::format("cost{}", cost), cost, max_useful_ranks, std::move(after)};
}

std::vector<WorkItem> items_of(const std::vector<double>& costs) {
  std::vector<WorkItem> items;
  for (const double cost : costs) {
    items.push_back(item_of(cost));
  }
  return items;
}

/// A coordinator whose groups have all said Ready; `begin` is what followed.
struct Started {
  Coordinator machine;
  Texts begin;

  Started(std::vector<WorkItem> items, const std::vector<int>& sizes, QueueOptions options = {})
      : machine(std::move(items), sizes, options) {
    for (std::size_t g = 0; g < sizes.size(); ++g) {
      for (std::string& word : say(static_cast<int>(g), Ready{sizes[g]})) {
        begin.push_back(std::move(word));
      }
    }
  }

  Texts say(int group, const ToCoordinator& message) {
    return words_of(machine.on_message(group, message));
  }
  Texts fail(int group, int item, ErrorKind kind) { return say(group, Failed{item, kind, "why"}); }
};

std::string refusal_of(const std::function<void()>& action,
                       ErrorKind kind = ErrorKind::kCommunication) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// ---- order

TEST(Coordinator, LongestFirstToWhoAsks) {
  Coordinator machine(items_of({3, 7, 5, 7}), {2, 2});
  EXPECT_THAT(words_of(machine.on_message(1, Ready{2})),
              ElementsAre("1<-assign 1#1", "started 1#1 on 1"));  // of the two 7s the earlier
  EXPECT_THAT(words_of(machine.on_message(0, Ready{2})),
              ElementsAre("0<-assign 3#1", "started 3#1 on 0"));
  EXPECT_EQ(machine.state_of(3), ItemState::kRunning);
  EXPECT_EQ(machine.state_of(2), ItemState::kReady);
  EXPECT_THAT(words_of(machine.on_message(1, Finished{1, "a"})),
              ElementsAre("1<-assign 2#1", "finished 1 on 1 a", "started 2#1 on 1"));
  EXPECT_THAT(words_of(machine.on_message(1, Finished{2, ""})),
              ElementsAre("1<-assign 0#1", "finished 2 on 1 ", "started 0#1 on 1"));
  EXPECT_THAT(machine.missing_items(), ElementsAre(0, 3));
  // A group without work stays: the item that still runs may fail and come back.
  EXPECT_THAT(words_of(machine.on_message(1, Finished{0, ""})), ElementsAre("finished 0 on 1 "));
  EXPECT_FALSE(machine.finished());
  EXPECT_THAT(words_of(machine.on_message(0, Finished{3, ""})),
              ElementsAre("0<-leave", "1<-leave", "finished 3 on 0 ", "left 0", "left 1"));
  EXPECT_TRUE(machine.finished());
  EXPECT_FALSE(machine.stopping());
  EXPECT_THAT(machine.missing_items(), IsEmpty());
}

TEST(Coordinator, ProgressIsHandedOnAndDecidesNothing) {
  Started s(items_of({3, 2}), {1});
  EXPECT_THAT(s.say(0, Progress{0, 4, 10, 0.5, 1}), ElementsAre("progress 0 step 4 on 0"));
  EXPECT_EQ(s.machine.state_of(0), ItemState::kRunning);
}

TEST(Coordinator, WithoutItemsEveryoneLeavesAtOnce) {
  Started s({}, {1, 2});
  EXPECT_EQ(s.begin, (Texts{"0<-leave", "left 0", "1<-leave", "left 1"}));
  EXPECT_TRUE(s.machine.finished());
}

TEST(Coordinator, WhoComesLateFindsWhatIsLeft) {
  Coordinator machine(items_of({1}), {1, 1});
  machine.on_message(0, Ready{1});
  machine.on_message(0, Finished{0, ""});
  EXPECT_FALSE(machine.finished());
  EXPECT_THAT(words_of(machine.on_message(1, Ready{1})), ElementsAre("1<-leave", "left 1"));
  EXPECT_TRUE(machine.finished());
}

// ---- prerequisites

TEST(Coordinator, ChainRunsInOrder) {
  // The chain 2 -> 0 -> 1 beside the free item 3; costs would order them otherwise.
  Started s({item_of(5, {2}), item_of(9, {0}), item_of(1), item_of(4)}, {1, 1});
  EXPECT_EQ(s.begin,
            (Texts{"0<-assign 3#1", "started 3#1 on 0", "1<-assign 2#1", "started 2#1 on 1"}));
  EXPECT_EQ(s.machine.state_of(0), ItemState::kWaiting);
  EXPECT_THAT(s.say(0, Finished{3, ""}), ElementsAre("finished 3 on 0 "));  // nothing is ready
  EXPECT_THAT(s.say(1, Finished{2, ""}),
              ElementsAre("0<-assign 0#1", "finished 2 on 1 ", "started 0#1 on 0"));
  EXPECT_THAT(s.say(0, Finished{0, ""}),
              ElementsAre("0<-assign 1#1", "finished 0 on 0 ", "started 1#1 on 0"));
  s.say(0, Finished{1, ""});
  EXPECT_TRUE(s.machine.finished());
}

TEST(Coordinator, DiamondWaitsForBothSides) {
  // 0 -> {1, 2} -> 3; a prerequisite named twice counts once.
  Started s({item_of(1), item_of(2, {0}), item_of(3, {0}), item_of(4, {1, 2, 1})}, {1, 1});
  EXPECT_EQ(s.begin, (Texts{"0<-assign 0#1", "started 0#1 on 0"}));
  EXPECT_THAT(s.say(0, Finished{0, ""}),
              ElementsAre("0<-assign 2#1", "1<-assign 1#1", "finished 0 on 0 ", "started 2#1 on 0",
                          "started 1#1 on 1"));
  EXPECT_THAT(s.say(1, Finished{1, ""}), ElementsAre("finished 1 on 1 "));
  EXPECT_EQ(s.machine.state_of(3), ItemState::kWaiting);
  EXPECT_THAT(s.say(0, Finished{2, ""}),
              ElementsAre("0<-assign 3#1", "finished 2 on 0 ", "started 3#1 on 0"));
}

TEST(Coordinator, FailureGivesUpAllThatFollow) {
  // 0 -> 1 -> 2, and 3 needs 2 and the free item 4.
  Started s({item_of(9), item_of(1, {0}), item_of(1, {1}), item_of(1, {2, 4}), item_of(2)}, {1});
  EXPECT_THAT(s.fail(0, 0, ErrorKind::kData),
              ElementsAre("0<-assign 4#1", "failed 0#1 on 0 data why for good", "given up 1 for 0",
                          "given up 2 for 1", "given up 3 for 2", "started 4#1 on 0"));
  EXPECT_EQ(s.machine.state_of(0), ItemState::kFailed);
  EXPECT_EQ(s.machine.state_of(3), ItemState::kGivenUp);
  EXPECT_THAT(s.say(0, Finished{4, ""}), ElementsAre("0<-leave", "finished 4 on 0 ", "left 0"));
  EXPECT_TRUE(s.machine.finished());
  EXPECT_THAT(s.machine.missing_items(), ElementsAre(0, 1, 2, 3));
}

TEST(Coordinator, GroupsThatWaitForAFailedPrerequisiteLeave) {
  Started s({item_of(9), item_of(1, {0})}, {1, 1, 1});
  EXPECT_THAT(
      s.fail(0, 0, ErrorKind::kNonFinite),
      ElementsAre("0<-leave", "1<-leave", "2<-leave", "failed 0#1 on 0 non-finite why for good",
                  "given up 1 for 0", "left 0", "left 1", "left 2"));
  EXPECT_TRUE(s.machine.finished());
}

TEST(Coordinator, CirclesAndUnknownPrerequisitesAreOurMistake) {
  const auto make = [](std::vector<WorkItem> items) { Coordinator machine(std::move(items), {1}); };
  const auto internal = [&](std::vector<WorkItem> items) {
    return refusal_of([&] { make(std::move(items)); }, ErrorKind::kInternal);
  };
  EXPECT_THAT(internal({item_of(1, {0})}), HasSubstr("circle"));
  EXPECT_THAT(internal({item_of(1), item_of(1, {2}), item_of(1, {3}), item_of(1, {1})}),
              HasSubstr("3 of 4 items"));
  EXPECT_THAT(internal({item_of(1, {1})}), HasSubstr("needs item 1 of 1"));
  EXPECT_THAT(internal({item_of(1, {-1})}), HasSubstr("needs item -1"));
  EXPECT_THAT(internal({item_of(-1)}), HasSubstr("cost -1"));
  refusal_of([] { Coordinator machine(items_of({1}), {}); }, ErrorKind::kInternal);
  refusal_of([] { Coordinator machine(items_of({1}), {1, 0}); }, ErrorKind::kInternal);
  refusal_of([] { Coordinator machine(items_of({1}), {1}, {0}); }, ErrorKind::kInternal);
}

// ---- failures

TEST(Coordinator, OnlyCommunicationAndStorageAreWorthAnotherTry) {
  for (const ErrorKind kind :
       {ErrorKind::kUsage, ErrorKind::kData, ErrorKind::kModel, ErrorKind::kNonFinite,
        ErrorKind::kHang, ErrorKind::kStopped, ErrorKind::kInternal}) {
    EXPECT_FALSE(is_worth_retrying(kind)) << base::kind_name(kind);
    Started s(items_of({1}), {1});
    s.fail(0, 0, kind);
    EXPECT_EQ(s.machine.state_of(0), ItemState::kFailed) << base::kind_name(kind);
    EXPECT_TRUE(s.machine.finished());
  }
  EXPECT_TRUE(is_worth_retrying(ErrorKind::kCommunication));
  EXPECT_TRUE(is_worth_retrying(ErrorKind::kStorage));
}

TEST(Coordinator, RetriesUpToTheLimit) {
  Started s(items_of({1}), {1}, {3});
  EXPECT_THAT(
      s.fail(0, 0, ErrorKind::kStorage),
      ElementsAre("0<-assign 0#2", "failed 0#1 on 0 storage why again", "started 0#2 on 0"));
  EXPECT_THAT(
      s.fail(0, 0, ErrorKind::kCommunication),
      ElementsAre("0<-assign 0#3", "failed 0#2 on 0 communication why again", "started 0#3 on 0"));
  EXPECT_THAT(s.fail(0, 0, ErrorKind::kStorage),
              ElementsAre("0<-leave", "failed 0#3 on 0 storage why for good", "left 0"));
  EXPECT_THAT(s.machine.missing_items(), ElementsAre(0));
}

TEST(Coordinator, RetryPrefersAGroupThatDidNotJustFailAtIt) {
  Started s(items_of({2, 1}), {1, 1, 1});  // group 2 has nothing
  EXPECT_THAT(
      s.fail(0, 0, ErrorKind::kStorage),
      ElementsAre("2<-assign 0#2", "failed 0#1 on 0 storage why again", "started 0#2 on 2"));
  // Now 0 is the one without work.
  EXPECT_THAT(
      s.fail(1, 1, ErrorKind::kStorage),
      ElementsAre("0<-assign 1#2", "failed 1#1 on 1 storage why again", "started 1#2 on 0"));
}

TEST(Coordinator, RetryTakesItsPlaceByLength) {
  Started s(items_of({5, 9, 8}), {1});
  // 1 (9) failed; it is still the longest and goes first.
  EXPECT_THAT(s.fail(0, 1, ErrorKind::kStorage).front(), "0<-assign 1#2");
}

TEST(Coordinator, DependantsWaitThroughRetries) {
  Started s({item_of(1), item_of(1, {0})}, {1});
  s.fail(0, 0, ErrorKind::kStorage);
  EXPECT_EQ(s.machine.state_of(1), ItemState::kWaiting);
  EXPECT_EQ(s.say(0, Finished{0, ""}).front(), "0<-assign 1#1");
}

// ---- stop

TEST(Coordinator, StopLetsIdleGroupsLeaveAndAsksTheOthers) {
  Started s({item_of(3), item_of(2), item_of(1, {0, 1})}, {1, 1, 1});
  EXPECT_THAT(words_of(s.machine.on_stop()),
              ElementsAre("0<-stop", "1<-stop", "2<-leave", "left 2"));
  EXPECT_TRUE(s.machine.stopping());
  EXPECT_THAT(words_of(s.machine.on_stop()), IsEmpty());
  EXPECT_THAT(s.say(0, Progress{0, 5, 9, 0, 0}), ElementsAre("progress 0 step 5 on 0"));
  EXPECT_THAT(s.say(0, Stopped{0}), ElementsAre("0<-leave", "left 0"));
  EXPECT_FALSE(s.machine.finished());
  // The other one was done before Stop reached it.
  EXPECT_THAT(s.say(1, Finished{1, ""}), ElementsAre("1<-leave", "finished 1 on 1 ", "left 1"));
  EXPECT_TRUE(s.machine.finished());
  EXPECT_EQ(s.machine.state_of(0), ItemState::kReady);
  EXPECT_EQ(s.machine.state_of(1), ItemState::kDone);
  EXPECT_EQ(s.machine.state_of(2), ItemState::kWaiting);
  EXPECT_THAT(s.machine.missing_items(), ElementsAre(0, 2));
}

TEST(Coordinator, StopBeforeAnyoneIsThere) {
  Coordinator machine(items_of({1}), {1, 1});
  EXPECT_THAT(words_of(machine.on_stop()), IsEmpty());
  EXPECT_FALSE(machine.finished());
  EXPECT_THAT(words_of(machine.on_message(1, Ready{1})), ElementsAre("1<-leave", "left 1"));
  EXPECT_THAT(words_of(machine.on_message(0, Ready{1})), ElementsAre("0<-leave", "left 0"));
  EXPECT_TRUE(machine.finished());
}

TEST(Coordinator, FailuresWhileStopping) {
  Started s({item_of(3), item_of(2), item_of(1, {1})}, {1, 1});
  s.machine.on_stop();
  EXPECT_THAT(s.fail(0, 0, ErrorKind::kStorage),
              ElementsAre("0<-leave", "failed 0#1 on 0 storage why again", "left 0"));
  EXPECT_EQ(s.machine.state_of(0), ItemState::kReady);  // in the queue, for the next run
  EXPECT_THAT(
      s.fail(1, 1, ErrorKind::kData),
      ElementsAre("1<-leave", "failed 1#1 on 1 data why for good", "given up 2 for 1", "left 1"));
  EXPECT_TRUE(s.machine.finished());
}

TEST(Coordinator, OneGroupsOwnSignalStopsTheWorld) {
  Started s(items_of({3, 2}), {1, 1, 1});
  EXPECT_THAT(s.say(0, Stopped{0}),
              ElementsAre("1<-stop", "0<-leave", "2<-leave", "left 0", "left 2"));
  EXPECT_TRUE(s.machine.stopping());
  EXPECT_THAT(s.say(1, Stopped{1}), ElementsAre("1<-leave", "left 1"));
  EXPECT_TRUE(s.machine.finished());
  EXPECT_THAT(s.machine.missing_items(), ElementsAre(0, 1));
}

TEST(Coordinator, IdleGroupsOwnSignalStopsTheWorld) {
  Started s(items_of({3}), {1, 1});
  EXPECT_THAT(s.say(1, Stopped{-1}), ElementsAre("0<-stop", "1<-leave", "left 1"));
  EXPECT_THAT(s.say(0, Stopped{0}), ElementsAre("0<-leave", "left 0"));
  EXPECT_TRUE(s.machine.finished());
}

TEST(Coordinator, StopThatCrossedAnAssignment) {
  // Group 0 was given item 0 but had stopped, without an item, before that reached it.
  Started s(items_of({3, 2}), {1, 1});
  EXPECT_THAT(s.say(0, Stopped{-1}), ElementsAre("1<-stop", "0<-leave", "left 0"));
  EXPECT_EQ(s.machine.state_of(0), ItemState::kReady);
}

TEST(Coordinator, StopOfAGroupThatWasToldToLeave) {
  Started s(items_of({1}), {1, 1});
  EXPECT_THAT(s.say(0, Finished{0, ""}),
              ElementsAre("0<-leave", "1<-leave", "finished 0 on 0 ", "left 0", "left 1"));
  EXPECT_THAT(s.say(1, Stopped{-1}), IsEmpty());
  EXPECT_TRUE(s.machine.finished());
}

// ---- every message in every state that does not fit

TEST(Coordinator, MessagesThatDoNotFitAreRefusedAndChangeNothing) {
  Coordinator machine(items_of({3, 2}), {1, 1, 2});
  const auto refused = [&](int group, const ToCoordinator& message) {
    return refusal_of([&] { machine.on_message(group, message); });
  };
  const std::vector<ToCoordinator> endings{Progress{0, 0, 0, 0, 0}, Finished{0, ""},
                                           Failed{0, ErrorKind::kData, ""}, Stopped{0}};
  // Nobody has said Ready.
  for (const ToCoordinator& message : endings) {
    EXPECT_THAT(refused(0, message), HasSubstr("Ready: it has not said so yet"));
  }
  refused(0, Stopped{-1});
  EXPECT_THAT(refused(2, Ready{1}), HasSubstr("1 ranks, where 2 were planned"));
  EXPECT_FALSE(machine.stopping());
  // 2 gets item 0, 0 gets item 1, and 1 is idle (the sizes differ, so all must be there first).
  machine.on_message(0, Ready{1});
  machine.on_message(1, Ready{1});
  machine.on_message(2, Ready{2});
  ASSERT_EQ(machine.state_of(0), ItemState::kRunning);
  for (const ToCoordinator& message : endings) {
    EXPECT_THAT(refused(1, message), HasSubstr("it has no item"));
    EXPECT_THAT(refused(0, message), HasSubstr("item 1 (cost2)"));
  }
  for (int group = 0; group < 3; ++group) {
    EXPECT_THAT(refused(group, Ready{group == 2 ? 2 : 1}), HasSubstr("Ready"));
  }
  EXPECT_THAT(refused(2, Finished{-1, ""}), HasSubstr("Finished of item -1"));
  EXPECT_EQ(machine.state_of(0), ItemState::kRunning);
  EXPECT_EQ(machine.state_of(1), ItemState::kRunning);
  EXPECT_FALSE(machine.stopping());
  machine.on_message(2, Finished{0, ""});
  machine.on_message(0, Finished{1, ""});
  ASSERT_TRUE(machine.finished());
  for (const ToCoordinator& message : endings) {
    EXPECT_THAT(refused(1, message), HasSubstr("told to leave"));
  }
  EXPECT_THAT(refused(1, Ready{1}), HasSubstr("told to leave"));
}

TEST(Coordinator, GroupsAndItemsThatDoNotExistAreOurMistake) {
  Coordinator machine(items_of({1}), {1});
  for (const int group : {-1, 1}) {
    refusal_of([&] { machine.on_message(group, Ready{1}); }, ErrorKind::kInternal);
    refusal_of([&] { machine.state_of(group); }, ErrorKind::kInternal);
  }
}

// ---- groups of unequal sizes

TEST(Coordinator, UnequalGroupsWaitForOneAnotherAtTheStart) {
  Coordinator machine(items_of({6, 8, 7}), {1, 4, 2});
  EXPECT_THAT(words_of(machine.on_message(0, Ready{1})), IsEmpty());
  EXPECT_THAT(words_of(machine.on_message(2, Ready{2})), IsEmpty());
  // By estimated end: 8 to the four ranks (2; on two 4, on one 8). 7: 3.5 on two ranks, 3.75 after
  // the first item on four. 6: 2 + 1.5 = 3.5 on four, 3.5 + 3 on two, 6 on one: it waits for the
  // four.
  EXPECT_THAT(
      words_of(machine.on_message(1, Ready{4})),
      ElementsAre("1<-assign 1#1", "2<-assign 2#1", "started 1#1 on 1", "started 2#1 on 2"));
  EXPECT_THAT(words_of(machine.on_message(1, Finished{1, ""})),
              ElementsAre("1<-assign 0#1", "finished 1 on 1 ", "started 0#1 on 1"));
}

TEST(Coordinator, StopDoesNotWaitForAbsentGroups) {
  Coordinator machine(items_of({6, 8}), {1, 4});
  machine.on_message(0, Ready{1});
  EXPECT_THAT(words_of(machine.on_stop()), ElementsAre("0<-leave", "left 0"));
}

TEST(Coordinator, MoreRanksThanAnItemCanUseDoNotAttractIt) {
  // Two slots an update: 8 costs 4 on two ranks and on eight alike; the tie goes to the lower
  // group. 16 without a limit costs 2 on eight ranks.
  Started s({item_of(8, {}, 2), item_of(16)}, {2, 8});
  EXPECT_EQ(s.begin,
            (Texts{"1<-assign 1#1", "0<-assign 0#1", "started 1#1 on 1", "started 0#1 on 0"}));
}

TEST(Coordinator, SmallGroupTakesWhatItEndsSooner) {
  // 100 on 8 ranks: 12.5. 90: 23.75 after it, 90 on one rank. 10: 25 after both, 10 on one rank.
  Started s(items_of({10, 100, 90}), {1, 8});
  EXPECT_EQ(s.begin,
            (Texts{"1<-assign 1#1", "0<-assign 0#1", "started 1#1 on 1", "started 0#1 on 0"}));
  // The small one is through first and leaves the 90 to the large one.
  EXPECT_THAT(s.say(0, Finished{0, ""}), ElementsAre("finished 0 on 0 "));
  EXPECT_EQ(s.say(1, Finished{1, ""}).front(), "1<-assign 2#1");
}

TEST(Coordinator, SmallGroupTakesOverWhatTheLargeOneFailedAt) {
  Started s(items_of({100}), {1, 8});
  EXPECT_EQ(s.begin.front(), "1<-assign 0#1");
  EXPECT_EQ(s.fail(1, 0, ErrorKind::kStorage).front(), "0<-assign 0#2");
}

}  // namespace
}  // namespace baton::coordinator
