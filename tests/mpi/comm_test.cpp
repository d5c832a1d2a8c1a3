// Collectives, groups, agreement and control messages over real processes. Data are small whole
// numbers, so that sums are exact in any order.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "baton/base/build.hpp"
#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "comm/mpi_communicator.hpp"
#include "support/mpi_main.hpp"

namespace {

using baton::base::Error;
using baton::base::ErrorKind;
using baton::comm::Communicator;
using baton::comm::ControlMessage;
using baton::comm::FloatBuffer;
using baton::comm::Mailbox;
using baton::comm::MpiCommunicator;
using baton::testing::world;
using ::testing::HasSubstr;

FloatBuffer buffer_of(std::vector<float>& values) {
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

int sum_of_ranks(int size) {
  return size * (size + 1) / 2;
}  // of rank + 1

ControlMessage wait_for_message(Mailbox box) {
  for (;;) {
    if (auto message = world().poll_control(box)) {
      return *message;
    }
    std::this_thread::yield();
  }
}

class AnyRanks : public baton::testing::MpiTest {
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
    dynamic_cast<MpiCommunicator&>(*group_).set_piece_limit(limit);
  }

  std::unique_ptr<Communicator> group_;
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

TEST_F(AnyRanks, WorldFactsAgreeWithTheLauncher) {
  const auto facts = baton::comm::launch_facts();
  EXPECT_EQ(facts.launcher, "mpirun");
  EXPECT_EQ(facts.announced_size, world().size());
  EXPECT_EQ(facts.announced_rank, world().rank());
  EXPECT_TRUE(facts.can_meet_peers);
  EXPECT_EQ(world().local_size(), world().size());
  EXPECT_EQ(world().local_rank(), world().rank());
  EXPECT_EQ(world().node_of_rank(), std::vector<int>(static_cast<std::size_t>(world().size()), 0));
  EXPECT_FALSE(world().host().empty());
}

TEST_F(AnyRanks, AllReduceSumsWholeNumbersExactly) {
  const int scale = sum_of_ranks(group_->size());
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{100003}}) {
    auto values = filled(count, [&](int i) { return (group_->rank() + 1) * (i % 1000 + 1); });
    group_->all_reduce_sum(buffer_of(values));
    EXPECT_EQ(values, filled(count, [&](int i) { return scale * (i % 1000 + 1); })) << count;
  }
}

TEST_F(AnyRanks, AllReducePassesNaNAndInfinity) {
  std::vector<float> values{1, group_->rank() == group_->size() - 1 ? std::nanf("") : 2.0f,
                            group_->rank() == 0 ? std::numeric_limits<float>::infinity() : 3.0f};
  group_->all_reduce_sum(buffer_of(values));
  EXPECT_EQ(values[0], static_cast<float>(group_->size()));
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], std::numeric_limits<float>::infinity());
}

TEST_F(AnyRanks, NumbersAreSummedInRankOrder) {
  // In doubles 1e16 + 1 = 1e16, so rank order gives 1e16, 1e16, 0 and 1; other orders give 1 or 2
  // instead.
  const std::vector<double> terms{1e16, 1, -1e16, 1};
  double expected = 0;
  for (int r = 0; r < group_->size(); ++r) {
    expected += terms[static_cast<std::size_t>(r)];
  }
  EXPECT_EQ(group_->all_reduce_sum(terms[static_cast<std::size_t>(group_->rank())]), expected);
}

TEST_F(AnyRanks, MaxIsTakenOverRanks) {
  const std::int64_t base = std::int64_t{1} << 40;
  EXPECT_EQ(group_->all_reduce_max(base + group_->rank()), base + group_->size() - 1);
  EXPECT_EQ(group_->all_reduce_max(-5 - group_->rank()), -5);
}

TEST_F(AnyRanks, BroadcastGivesTheRootsValues) {
  for (int root = 0; root < group_->size(); ++root) {
    auto values = filled(1001, [&](int i) { return 1 + i + 10000 * group_->rank(); });
    group_->broadcast(buffer_of(values), root);
    EXPECT_EQ(values, filled(1001, [&](int i) { return 1 + i + 10000 * root; }));
  }
}

TEST_F(AnyRanks, AllGatherPutsRanksInOrder) {
  auto mine = filled(5, [&](int i) { return 1 + i + 100 * group_->rank(); });
  std::vector<float> all(mine.size() * static_cast<std::size_t>(group_->size()), -1);
  group_->all_gather(buffer_of(mine), buffer_of(all));
  EXPECT_EQ(all, filled(all.size(), [](int i) { return 1 + i % 5 + 100 * (i / 5); }));
}

TEST_F(AnyRanks, LargeCountsGoInPieces) {
  // 100 in pieces of 7: fourteen full ones and a rest of 2.
  lower_piece_limit(7);
  auto values = filled(100, [&](int i) { return (group_->rank() + 1) * (i + 1); });
  group_->all_reduce_sum(buffer_of(values));
  EXPECT_EQ(values, filled(100, [&](int i) { return sum_of_ranks(group_->size()) * (i + 1); }));

  const int root = group_->size() - 1;
  auto sent = filled(100, [&](int i) { return 1 + i + 1000 * group_->rank(); });
  group_->broadcast(buffer_of(sent), root);
  EXPECT_EQ(sent, filled(100, [&](int i) { return 1 + i + 1000 * root; }));

  auto mine = filled(100, [&](int i) { return 1 + i + 1000 * group_->rank(); });
  std::vector<float> all(mine.size() * static_cast<std::size_t>(group_->size()), -1);
  group_->all_gather(buffer_of(mine), buffer_of(all));
  EXPECT_EQ(all, filled(all.size(), [](int i) { return 1 + i % 100 + 1000 * (i / 100); }));

  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(20 + rank), static_cast<char>('a' + rank));
  };
  const auto texts = group_->all_gather_bytes(text_of(group_->rank()));
  for (int r = 0; r < group_->size(); ++r) {
    EXPECT_EQ(texts[static_cast<std::size_t>(r)], text_of(r));
  }
  EXPECT_EQ(group_->broadcast_bytes(text_of(group_->rank()), root), text_of(root));
}

TEST_F(AnyRanks, BytesOfDifferentLengthsArriveWhole) {
  // Rank 0 sends nothing, rank r sends 1000 r bytes with zeros among them.
  const auto bytes_of = [](int rank) {
    std::string bytes(static_cast<std::size_t>(1000 * rank), '\0');
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
      bytes[i] = static_cast<char>(rank);
    }
    return bytes;
  };
  const auto all = group_->all_gather_bytes(bytes_of(group_->rank()));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(group_->size()));
  for (int r = 0; r < group_->size(); ++r) {
    EXPECT_EQ(all[static_cast<std::size_t>(r)], bytes_of(r));
    EXPECT_EQ(group_->broadcast_bytes(bytes_of(group_->rank()), r), bytes_of(r));
  }
  EXPECT_EQ(group_->all_gather_bytes(""), std::vector<std::string>(all.size()));
}

TEST_F(AnyRanks, GpuMemoryIsRefusedInWords) {
  float value = 1;
  const FloatBuffer on_gpu{&value, 1, true};
  try {
    group_->all_reduce_sum(on_gpu);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("host memory only"));
    EXPECT_THAT(error.what(), HasSubstr("backend = nccl"));
  }
  EXPECT_THROW(group_->broadcast(on_gpu, 0), Error);
  group_->barrier();  // still usable
}

TEST_F(AnyRanks, GroupsEndOnceAndSayWhatHappened) {
  auto second = world().make_world_group();
  EXPECT_STREQ(second->backend(), "mpi");
  second->close();
  EXPECT_THROW(second->barrier(), Error);
  EXPECT_THROW(second->close(), Error);
  auto third = world().make_world_group();
  third->abort("a test");
  try {
    third->barrier();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a test"));
  }
  third.reset();
  world().make_world_group().reset();  // dropped without close(): local, logged
  auto moved_from = world().make_world_group();
  auto moved_to = std::move(moved_from);
  EXPECT_EQ(moved_to->all_reduce_max(7 + moved_to->rank()), 6 + moved_to->size());
  moved_to->close();
}

TEST_F(AnyRanks, HandlesMoveOnceAndFreeOnce) {
  auto first = baton::comm::duplicate(MPI_COMM_WORLD);
  const MPI_Comm raw = first.get();
  auto second = std::move(first);
  EXPECT_FALSE(static_cast<bool>(first));
  EXPECT_EQ(second.get(), raw);
  first = std::move(second);
  EXPECT_EQ(first.get(), raw);
  MpiCommunicator group(std::move(first));
  group.close();
}

TEST_F(AnyRanks, FailedCallsNameExpressionAndLibraryText) {
  try {
    BATON_MPI(MPI_Bcast(nullptr, -1, MPI_FLOAT, 0, MPI_COMM_WORLD));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    EXPECT_THAT(error.what(), HasSubstr("MPI_Bcast(nullptr, -1"));
    EXPECT_THAT(error.what(), HasSubstr("MPI_ERR_COUNT"));
    EXPECT_THAT(error.what(), HasSubstr("comm_test.cpp"));
  }
}

TEST_F(AnyRanks, FewerThreadsThanNeededAreRefusedInWords) {
  baton::comm::check_thread_level(MPI_THREAD_MULTIPLE);
  for (const auto& [level, name] : {std::pair{MPI_THREAD_SINGLE, "MPI_THREAD_SINGLE"},
                                    std::pair{MPI_THREAD_FUNNELED, "MPI_THREAD_FUNNELED"},
                                    std::pair{MPI_THREAD_SERIALIZED, "MPI_THREAD_SERIALIZED"}}) {
    try {
      baton::comm::check_thread_level(level);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
      EXPECT_EQ(error.details().found, name);
    }
  }
}

TEST_F(AnyRanks, AgreementWithoutErrorsPasses) {
  int calls = 0;
  world().together([&] { ++calls; });
  world().agree(std::nullopt);
  EXPECT_EQ(calls, 1);
}

TEST_F(AnyRanks, ControlMessagesArriveInOrderAndWithTheirSender) {
  const int me = world().rank();
  const int size = world().size();
  for (int to = 0; to < size; ++to) {
    world().send_control(to, "first from " + std::to_string(me));
    world().send_control(to, std::string());
    world().send_control(to, std::string(300000, static_cast<char>('a' + me)));
  }
  std::vector<std::vector<std::string>> from(static_cast<std::size_t>(size));
  for (int received = 0; received < 3 * size;) {
    if (auto message = world().poll_control()) {
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
  EXPECT_FALSE(world().poll_control().has_value());
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
    std::this_thread::yield();
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

TEST_F(AnyRanks, BackendsAreChosenInOnePlace) {
  using baton::comm::Backend;
  baton::comm::CommunicatorRequest request;
  request.device = baton::device::cpu_device();
  request.backend = Backend::kMpi;
  auto mpi = baton::comm::make_communicator(world().make_world_group(), request);
  EXPECT_STREQ(mpi->backend(), "mpi");
  mpi->close();
  request.backend = Backend::kAuto;
  auto chosen = baton::comm::make_communicator(world().make_world_group(), request);
  EXPECT_STREQ(chosen->backend(), "mpi");
  chosen->close();
  request.backend = Backend::kNccl;
  try {
    baton::comm::make_communicator(world().make_world_group(), request);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(),
                HasSubstr(baton::comm::nccl_compiled_in() ? "has no GPU" : "not compiled in"));
  }
}

TEST_F(AnyRanks, SplitIntoOneGroupOfAll) {
  std::vector<int> everyone(static_cast<std::size_t>(world().size()));
  std::iota(everyone.rbegin(), everyone.rend(), 0);  // highest world rank first
  auto reversed = world().split({everyone});
  ASSERT_TRUE(reversed);
  EXPECT_EQ(reversed->rank(), world().size() - 1 - world().rank());
  EXPECT_EQ(reversed->all_reduce_max(world().rank() + 1), world().size());
  reversed->close();
}

TEST_F(FromTwoRanks, AnErrorOnOneRankReachesAll) {
  const int failing = world().size() - 1;  // rank 2 of three
  try {
    world().together([&] {
      if (world().rank() == failing) {
        throw Error(ErrorKind::kData, "a row is cut off",
                    {.where = "qa.json line 3",
                     .expected = "a brace",
                     .found = "\xff",
                     .fix = "write it again"});
      }
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_EQ(error.summary(), "a row is cut off");
    EXPECT_EQ(error.details().where, "rank " + std::to_string(failing) + ": qa.json line 3");
    EXPECT_EQ(error.details().expected, "a brace");
    EXPECT_EQ(error.details().found, "\xef\xbf\xbd");  // not UTF-8: replaced
    EXPECT_EQ(error.details().fix, "write it again");
  }
  group_->barrier();  // nobody is left waiting
}

TEST_F(FromTwoRanks, TheLowestRanksErrorIsTheOneShown) {
  try {
    world().together(
        [] { throw std::runtime_error("from rank " + std::to_string(world().rank())); });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_EQ(error.summary(), "from rank 0");
    EXPECT_EQ(error.details().where, "rank 0");
  }
  try {
    world().agree(world().rank() == 0 ? std::nullopt
                                      : std::optional(Error(ErrorKind::kStopped, "asked to stop")));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStopped);
    EXPECT_EQ(error.details().where, "rank 1");
  }
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

TEST_F(FromTwoRanks, AFailedCollectiveNamesItselfAndItsGroup) {
  auto pair = world().split({{0, 1}});
  if (pair) {
    pair->barrier();
    // More than the receiver asked for: MPI tells the receiver alone.
    auto values = filled(world().rank() == 0 ? 100 : 10, [](int i) { return i; });
    if (world().rank() == 0) {
      pair->broadcast(buffer_of(values), 0);
    } else {
      try {
        pair->broadcast(buffer_of(values), 0);
        ADD_FAILURE() << "accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
        EXPECT_THAT(error.details().where,
                    HasSubstr("broadcast on rank 1 of a group of 2, its collective number 2"));
        EXPECT_THAT(error.details().where, HasSubstr("MPI_Bcast"));
        EXPECT_THAT(error.details().found, HasSubstr("TRUNCATE"));
      }
      EXPECT_FALSE(pair->activity().in_collective);
    }
    pair->abort("a test");
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

TEST_F(FromTwoRanks, DifferentGroupListsAreFoundOut) {
  // A rank that asks for other groups than its peers must not leave them waiting.
  const std::vector<std::vector<int>> mine = world().rank() == 0
                                                 ? std::vector<std::vector<int>>{{0}, {1}}
                                                 : std::vector<std::vector<int>>{{0, 1}};
  EXPECT_THROW(world().split(mine), Error);
  EXPECT_THROW(world().split({{0, 0}}), Error);
  EXPECT_THROW(world().split({{world().size()}}), Error);
}

TEST_F(FromTwoRanks, ARankInNoGroupGetsNothing) {
  auto group = world().split({{1}});
  EXPECT_EQ(group != nullptr, world().rank() == 1);
  if (group) {
    EXPECT_EQ(group->size(), 1);
    EXPECT_EQ(group->all_reduce_max(41), 41);
    group->close();
  }
}

TEST_F(FromThreeRanks, UnequalGroupsWorkAtOnce) {
  // {2, 0} and {1}: group ranks follow the list. Different numbers of operations in each: they may
  // not meet.
  auto group = world().split({{2, 0}, {1}});
  const bool in_pair = world().rank() == 0 || world().rank() == 2;
  if (world().rank() > 2) {
    EXPECT_EQ(group, nullptr);
    return;
  }
  ASSERT_TRUE(group);
  EXPECT_EQ(group->size(), in_pair ? 2 : 1);
  EXPECT_EQ(group->rank(), world().rank() == 0 ? 1 : 0);
  for (int round = 1; round <= (in_pair ? 200 : 37); ++round) {
    auto values = filled(129, [&](int i) { return round * (world().rank() + 1) + i; });
    group->all_reduce_sum(buffer_of(values));
    const auto expected =
        filled(129, [&](int i) { return in_pair ? round * (1 + 3) + 2 * i : round * 2 + i; });
    ASSERT_EQ(values, expected) << round;
  }
  EXPECT_EQ(group->broadcast_bytes("world rank " + std::to_string(world().rank()), 0),
            in_pair ? "world rank 2" : "world rank 1");
  group->close();
}

TEST_F(FourRanks, GroupsOfThreeAndOneBesideTheWorldGroup) {
  auto group = world().split({{0, 1, 3}, {2}});
  ASSERT_TRUE(group);
  auto values = filled(10, [&](int i) { return (world().rank() + 1) * (i + 1); });
  group->all_reduce_sum(buffer_of(values));
  const int factor = world().rank() == 2 ? 3 : 1 + 2 + 4;
  EXPECT_EQ(values, filled(10, [&](int i) { return factor * (i + 1); }));
  EXPECT_EQ(group_->all_reduce_max(world().rank()), 3);
  group->close();
}

}  // namespace
