// Collectives, groups and agreement over real processes. Data are small whole
// numbers, so that sums are exact in any order.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/comm/make_communicator.hpp"
#include "baton/comm/nccl_communicator.hpp"
#include "baton/comm/share.hpp"
#include "comm/mpi_communicator.hpp"
#include "comm_fixture.hpp"

namespace {

using baton::base::Error;
using baton::base::ErrorKind;
using baton::comm::Communicator;
using baton::comm::FloatBuffer;
using baton::comm::MpiCommunicator;
using baton::testing::AnyRanks;
using baton::testing::buffer_of;
using baton::testing::filled;
using baton::testing::FourRanks;
using baton::testing::FromThreeRanks;
using baton::testing::FromTwoRanks;
using baton::testing::sum_of_ranks;
using baton::testing::world;
using ::testing::HasSubstr;

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
  baton::comm::together(world().everyone(), [&] { ++calls; });
  baton::comm::agree(world().everyone(), std::nullopt);
  EXPECT_EQ(calls, 1);
}

TEST_F(AnyRanks, TheLeadersValueReachesAll) {
  using Values = std::map<std::string, std::vector<double>>;
  int calls = 0;
  const auto made = baton::comm::from_leader(*group_, [&] {
    ++calls;
    return Values{{"margins", {-0.0, 1.0 / 3}}, {"none", {}}};
  });
  EXPECT_EQ(made, (Values{{"margins", {-0.0, 1.0 / 3}}, {"none", {}}}));
  EXPECT_TRUE(std::signbit(made.at("margins")[0]));
  EXPECT_EQ(calls, group_->rank() == 0 ? 1 : 0);
  const std::optional<int> mine = group_->rank() == 0 ? std::optional<int>() : 7;
  EXPECT_EQ(baton::comm::value_of_leader(*group_, mine), std::nullopt);
  const std::vector<std::int64_t> ranks =
      baton::comm::from_all(world().everyone(), std::int64_t{world().rank()});
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    EXPECT_EQ(ranks[rank], static_cast<std::int64_t>(rank));
  }
  EXPECT_EQ(ranks.size(), static_cast<std::size_t>(world().size()));
}

TEST_F(AnyRanks, TheLeadersErrorReachesAll) {
  try {
    baton::comm::from_leader(*group_, []() -> int { throw Error(ErrorKind::kData, "no rows"); });
    FAIL() << "no error";
  } catch (const baton::comm::GroupError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_EQ(error.summary(), "no rows");
  }
  group_->barrier();  // nobody is left waiting
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
    baton::comm::together(world().everyone(), [&] {
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
    baton::comm::together(world().everyone(), [] {
      throw std::runtime_error("from rank " + std::to_string(world().rank()));
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_EQ(error.summary(), "from rank 0");
    EXPECT_EQ(error.details().where, "rank 0");
  }
  try {
    baton::comm::agree(world().everyone(),
                       world().rank() == 0
                           ? std::nullopt
                           : std::optional(Error(ErrorKind::kStopped, "asked to stop")));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStopped);
    EXPECT_EQ(error.details().where, "rank 1");
  }
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
