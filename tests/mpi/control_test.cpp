// Control messages, builds and activity over real processes: what other threads do while main
// threads are in collectives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"
#include "comm_fixture.hpp"

namespace {

using baton::base::Error;
using baton::base::ErrorKind;
using baton::comm::ControlMessage;
using baton::comm::Mailbox;
using baton::testing::AnyRanks;
using baton::testing::buffer_of;
using baton::testing::filled;
using baton::testing::FromTwoRanks;
using baton::testing::sum_of_ranks;
using baton::testing::wait_for_message;
using baton::testing::world;
using ::testing::HasSubstr;

TEST_F(AnyRanks, ControlMessagesArriveInOrderAndWithTheirSender) {
  const int me = world().rank();
  const int size = world().size();
  for (int to = 0; to < size; ++to) {
    world().send_control(to, Mailbox::kWorker, "first from " + std::to_string(me));
    world().send_control(to, Mailbox::kWorker, std::string());
    world().send_control(to, Mailbox::kWorker, std::string(300000, static_cast<char>('a' + me)));
  }
  std::vector<std::vector<std::string>> from(static_cast<std::size_t>(size));
  for (int received = 0; received < 3 * size;) {
    if (auto message = world().poll_control(Mailbox::kWorker)) {
      from[static_cast<std::size_t>(message->from_rank)].push_back(message->bytes);
      ++received;
    } else {
      std::this_thread::yield();
    }
  }
  for (int r = 0; r < size; ++r) {
    const std::vector<std::string> expected{"first from " + std::to_string(r), "",
                                            std::string(300000, static_cast<char>('a' + r))};
    EXPECT_EQ(from[static_cast<std::size_t>(r)], expected);
  }
  group_->barrier();
  EXPECT_FALSE(world().poll_control(Mailbox::kWorker).has_value());
}

TEST_F(AnyRanks, MailboxesAreReadApart) {
  const int me = world().rank();
  const int to = (me + 1) % world().size();
  const int from = (me + world().size() - 1) % world().size();
  // Sent in one order, read in another: neither mailbox waits for the others.
  world().send_control(to, Mailbox::kWatch, "watch " + std::to_string(me));
  world().send_control(to, Mailbox::kWorker, "worker " + std::to_string(me));
  world().send_control(to, Mailbox::kCoordinator, "coordinator " + std::to_string(me));
  for (const auto& [box, name] :
       {std::pair{Mailbox::kCoordinator, "coordinator "}, std::pair{Mailbox::kWorker, "worker "},
        std::pair{Mailbox::kWatch, "watch "}}) {
    const ControlMessage message = wait_for_message(box);
    EXPECT_EQ(message.from_rank, from);
    EXPECT_EQ(message.bytes, name + std::to_string(from));
    EXPECT_FALSE(world().poll_control(box).has_value());
  }
}

/// Sends numbered questions round the ring and answers those that come in, until all are answered.
void play_ping_pong(int num_rounds, Mailbox question_box, Mailbox answer_box) {
  const int me = world().rank();
  const int to = (me + 1) % world().size();
  int num_sent = 0;
  int num_asked = 0;
  int num_answered = 0;
  while (num_asked < num_rounds || num_answered < num_rounds) {
    if (num_sent == num_answered && num_sent < num_rounds) {
      // Every fourth is long enough to need its receiver's memory first.
      const std::size_t length = num_sent % 4 == 3 ? 200000 : 10;
      world().send_control(to, question_box,
                           std::to_string(num_sent) + std::string(length, static_cast<char>('q')));
      ++num_sent;
    }
    if (const auto question = world().poll_control(question_box)) {
      EXPECT_EQ(question->bytes.substr(0, question->bytes.find('q')), std::to_string(num_asked));
      world().send_control(question->from_rank, answer_box, question->bytes);
      ++num_asked;
    }
    if (const auto answer = world().poll_control(answer_box)) {
      EXPECT_EQ(answer->from_rank, to);
      EXPECT_EQ(answer->bytes.substr(0, answer->bytes.find('q')), std::to_string(num_answered));
      ++num_answered;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(20));  // the other threads need the cores
  }
}

TEST_F(AnyRanks, AThreadTalksWhileTheMainThreadIsInCollectives) {
  std::atomic<bool> is_over = false;
  std::thread talker([&is_over] {
    play_ping_pong(200, Mailbox::kCoordinator, Mailbox::kWorker);
    is_over = true;
  });
  std::int64_t num_loops = 0;
  for (bool all_over = false; !all_over; ++num_loops) {
    auto values = filled(1001, [&](int i) { return (group_->rank() + 1) * (i + 1); });
    group_->all_reduce_sum(buffer_of(values));
    EXPECT_EQ(values, filled(1001, [&](int i) { return sum_of_ranks(group_->size()) * (i + 1); }));
    auto mine = filled(3, [&](int i) { return i + 10 * group_->rank(); });
    std::vector<float> all(mine.size() * static_cast<std::size_t>(group_->size()), -1);
    group_->all_gather(buffer_of(mine), buffer_of(all));
    EXPECT_EQ(all, filled(all.size(), [](int i) { return i % 3 + 10 * (i / 3); }));
    all_over = group_->all_reduce_max(is_over ? 0 : 1) == 0;
  }
  talker.join();
  EXPECT_GT(num_loops, 0);
}

TEST_F(AnyRanks, SeveralThreadsShareTheControlPlane) {
  std::thread asker([] { play_ping_pong(100, Mailbox::kCoordinator, Mailbox::kWorker); });
  std::thread watcher([] {
    const int to = (world().rank() + 1) % world().size();
    for (int i = 0; i < 300; ++i) {
      world().send_control(to, Mailbox::kWatch, std::to_string(i));
    }
    for (int i = 0; i < 300; ++i) {
      EXPECT_EQ(wait_for_message(Mailbox::kWatch).bytes, std::to_string(i));
    }
  });
  group_->barrier();
  asker.join();
  watcher.join();
  EXPECT_FALSE(world().poll_control(Mailbox::kWatch).has_value());
}

TEST_F(AnyRanks, EqualBuildsPass) {
  const std::string build = baton::base::build_identity("1.2.3");
  EXPECT_THAT(build, ::testing::MatchesRegex("1\\.2\\.3 [0-9a-f]+"));
  EXPECT_EQ(build.size(), 6U + 16U);
  EXPECT_EQ(build.substr(6), baton::base::sha256_file("/proc/self/exe").substr(0, 16));
  world().check_same_build(build);
}

TEST_F(FromTwoRanks, AnotherBuildIsRefusedOnEveryRank) {
  const int odd = world().size() - 1;
  try {
    world().check_same_build(world().rank() == odd ? "1.2.4 fedc" : "1.2.3 0123");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    EXPECT_EQ(error.details().where, "rank " + std::to_string(odd) + " on " + world().host());
    EXPECT_THAT(error.details().expected, HasSubstr("1.2.3 0123"));
    EXPECT_EQ(error.details().found, "1.2.4 fedc");
  }
  group_->barrier();  // nobody is left waiting
}

TEST_F(FromTwoRanks, ALongMessageIsNotOvertaken) {
  // The receive of the long one is begun early and needs its sender's help for a while; a short one
  // behind it waits, those of others do not.
  constexpr std::size_t kLong = 40'000'000;
  if (world().rank() == 1) {
    world().send_control(0, Mailbox::kCoordinator, std::string(kLong, 'x'));
    world().send_control(0, Mailbox::kCoordinator, "after it");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    wait_for_message(Mailbox::kWatch);
  } else if (world().rank() == 0) {
    std::vector<std::size_t> lengths;
    for (int i = 0; lengths.size() < 2; ++i) {
      if (const auto message = world().poll_control(Mailbox::kCoordinator)) {
        EXPECT_EQ(message->from_rank, 1);
        lengths.push_back(message->bytes.size());
      }
      world().send_control(0, Mailbox::kWorker, std::to_string(i));
      EXPECT_EQ(wait_for_message(Mailbox::kWorker).bytes, std::to_string(i));
    }
    EXPECT_EQ(lengths, (std::vector<std::size_t>{kLong, std::string("after it").size()}));
    world().send_control(1, Mailbox::kWatch, "done");
  }
  group_->barrier();
}

TEST_F(FromTwoRanks, AnotherThreadSeesHowFarAGroupIs) {
  EXPECT_EQ(group_->activity().num_collectives, 0);
  EXPECT_FALSE(group_->activity().in_collective);
  group_->all_reduce_max(1);
  group_->all_gather_bytes("x");
  group_->all_reduce_sum(1.0);
  EXPECT_EQ(group_->activity().num_collectives, 3);
  if (world().rank() == 0) {
    std::thread observer([this] {
      while (!group_->activity().in_collective) {
        std::this_thread::yield();
      }
      EXPECT_EQ(group_->activity().num_collectives, 4);
      world().send_control(1, Mailbox::kWorker, "it waits");
    });
    group_->barrier();
    observer.join();
  } else {
    if (world().rank() == 1) {
      wait_for_message(Mailbox::kWorker);
      EXPECT_FALSE(group_->activity().in_collective);
    }
    group_->barrier();
  }
  EXPECT_EQ(group_->activity().num_collectives, 4);
  EXPECT_FALSE(group_->activity().in_collective);
}

}  // namespace
