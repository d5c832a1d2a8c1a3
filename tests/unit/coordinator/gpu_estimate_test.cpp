#include "baton/coordinator/gpu_estimate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"

namespace baton::coordinator {
namespace {

using ::testing::HasSubstr;

// One layer: 2 heads of 4 on a width of 8, feed-forward 16, 100 words.
MemoryRequest tiny() {
  MemoryRequest request;
  request.model.vocab_size = 100;
  request.model.hidden_size = 8;
  request.model.intermediate_size = 16;
  request.model.num_hidden_layers = 1;
  request.model.num_attention_heads = 2;
  request.model.num_key_value_heads = 1;
  request.model.head_dim = 4;
  request.lora_rank = 2;
  request.lora_targets = {"q_proj"};
  request.labels_per_row = 5;
  return request;
}

TEST(GpuEstimate, OperationsOfATokenByHand) {
  // q and o 64 each, k and v 32 each, gate, up, down 128 each: 576 weights. LoRA on q: 2 x (8 + 8).
  // Attention over rows of 10: 6 x 10 x 8. Head: 5 of 10 tokens x 4 x 100 x 8.
  EXPECT_DOUBLE_EQ(flops_per_token(tiny(), 10), 4 * 576 + 6 * 32 + 6 * 10 * 8 + 0.5 * 4 * 800);
  EXPECT_DOUBLE_EQ(flops_per_token(tiny(), 2), 4 * 576 + 6 * 32 + 6 * 2 * 8 + 4 * 800)
      << "no more labels than tokens";
}

TEST(GpuEstimate, HoursFollowFromTheMakespan) {
  GroupPlan plan;
  plan.groups.resize(2);
  plan.groups[0].ranks = {0, 1};
  plan.groups[1].ranks = {2};
  plan.makespan = 1e9;  // token-steps
  MemoryEstimate memory;
  memory.training_bytes_per_rank = 30'000'000'000;
  memory.evaluation_bytes_per_rank = 1;
  const auto found = estimate_gpus(gpus_named("h100, rtx-4090"), plan, memory, 3.6e10);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_DOUBLE_EQ(found[0].hours, 1e9 * 3.6e10 / (989e12 * kPeakShare) / 3600);
  EXPECT_DOUBLE_EQ(found[0].gpu_hours, 3 * found[0].hours);
  EXPECT_TRUE(found[0].fits);
  EXPECT_FALSE(found[1].fits);
  EXPECT_THAT(gpu_text(found), HasSubstr("an estimate, not measured"));
  EXPECT_EQ(gpu_json(found)[1]["gpu"], "rtx-4090");
}

TEST(GpuEstimate, UnknownNamesAreRefusedWithTheKnownOnes) {
  EXPECT_EQ(gpus_named("all").size(), known_gpus().size());
  try {
    gpus_named("h10");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("h100"));
  }
}

}  // namespace
}  // namespace baton::coordinator
