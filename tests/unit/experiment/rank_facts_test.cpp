// Which type the base computes in, and who is named as unlike: pure functions over facts of ranks.

#include "baton/experiment/rank_facts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"

namespace baton::experiment {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kFast = "x86_64 avx2 fma avx512f avx512_bf16";
constexpr const char* kSlow = "x86_64 avx2 fma";

RankFacts rank_on(const std::string& host, const std::string& instruction_set) {
  RankFacts facts;
  facts.host = host;
  facts.instruction_set = instruction_set;
  facts.kernels = "ATen AVX2";
  facts.num_threads = 2;
  facts.libraries = {{"torch", "2.11.0"}, {"hdf5", "1.10.8"}};
  return facts;
}

RankFacts gpu_rank(const std::string& name) {
  RankFacts facts = rank_on("hosta", kSlow);
  facts.gpu = name;
  return facts;
}

TEST(ChooseDtype, TheLeastAbleRankDecidesForAuto) {
  const RankFacts fast = rank_on("hosta", kFast);
  const RankFacts slow = rank_on("hostb", kSlow);
  EXPECT_EQ(choose_dtype("auto", "", {fast}).dtype, "bfloat16");
  EXPECT_EQ(choose_dtype("auto", "", {fast, fast}).dtype, "bfloat16");
  EXPECT_EQ(choose_dtype("auto", "", {slow}).dtype, "float32");
  for (const auto& ranks : {std::vector{fast, slow}, std::vector{slow, fast, fast}}) {
    EXPECT_EQ(choose_dtype("auto", "", ranks).dtype, "float32");
  }
  EXPECT_THAT(choose_dtype("auto", "", {fast, slow, fast}).reason, HasSubstr("rank 1,"));
  EXPECT_THAT(choose_dtype("auto", "", {slow, slow}).reason, Not(HasSubstr("rank ")));
  EXPECT_EQ(choose_dtype("auto", "", {rank_on("h", "x86_64 avx2 amx_bf16")}).dtype, "bfloat16");
}

TEST(ChooseDtype, AGpuIsAbleAndACpuBesideItMayNotBe) {
  EXPECT_EQ(choose_dtype("auto", "", {gpu_rank("H100"), gpu_rank("H100")}).dtype, "bfloat16");
  EXPECT_EQ(choose_dtype("auto", "", {gpu_rank("H100"), rank_on("hostb", kSlow)}).dtype, "float32");
}

TEST(ChooseDtype, WhatIsAskedForIsTakenAndARunKeepsItsType) {
  const std::vector<RankFacts> slow{rank_on("hosta", kSlow)};
  EXPECT_EQ(choose_dtype("bfloat16", "", slow).dtype, "bfloat16");
  EXPECT_EQ(choose_dtype("auto", "bfloat16", slow).dtype, "bfloat16");
  EXPECT_THAT(choose_dtype("auto", "bfloat16", slow).reason, HasSubstr("slow on rank 0"));
  EXPECT_EQ(choose_dtype("float32", "float32", {rank_on("hosta", kFast)}).dtype, "float32");
  try {
    choose_dtype("bfloat16", "float32", slow);
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("model.dtype"), HasSubstr("float32"),
                                    HasSubstr("bfloat16"), HasSubstr("output_dir")));
  }
}

TEST(UnlikeRanks, HostsAloneMakeNoDifference) {
  EXPECT_EQ(describe_unlike_ranks({rank_on("hosta", kFast)}), "");
  EXPECT_EQ(describe_unlike_ranks({rank_on("hosta", kFast), rank_on("hostb", kFast)}), "");
}

TEST(UnlikeRanks, EveryKindIsNamedWithItsRanks) {
  std::vector<RankFacts> ranks{rank_on("hosta", kFast), rank_on("hosta", kFast),
                               rank_on("hostb", kSlow), rank_on("hostb", kFast)};
  EXPECT_THAT(describe_unlike_ranks(ranks),
              AllOf(HasSubstr("ranks 0, 1, 3 on hosta, hostb: "), HasSubstr("rank 2 on hostb: "),
                    HasSubstr("last bits")));
  ranks = {rank_on("hosta", kFast), rank_on("hostb", kFast)};
  ranks[1].libraries["torch"] = "2.10.0";
  EXPECT_THAT(describe_unlike_ranks(ranks), AllOf(HasSubstr("2.11.0"), HasSubstr("2.10.0")));
  ranks = {gpu_rank("H100"), gpu_rank("H200")};
  EXPECT_THAT(describe_unlike_ranks(ranks), AllOf(HasSubstr("H100"), HasSubstr("H200")));
}

TEST(MadeByRanks, TheGroupAndNotRankZero) {
  const std::vector<RankFacts> ranks{rank_on("hosta", kFast), rank_on("hosta", kFast),
                                     rank_on("hostb", kSlow), rank_on("hostb", kSlow)};
  const run::MadeBy one = made_by_ranks(ranks, {2, 3});
  EXPECT_EQ(one.host, "hostb");
  EXPECT_EQ(one.instruction_set, kSlow);
  EXPECT_EQ(one.num_ranks, 2);
  EXPECT_EQ(one.threads_per_rank, 2);
  EXPECT_EQ(one.libraries.at("torch"), "2.11.0");
  const run::MadeBy both = made_by_ranks(ranks, {1, 2});
  EXPECT_EQ(both.host, "hosta, hostb");
  EXPECT_EQ(both.instruction_set, std::string(kFast) + " | " + kSlow);
}

}  // namespace
}  // namespace baton::experiment
