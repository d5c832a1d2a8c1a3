#include "baton/coordinator/memory_estimate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"

namespace baton::coordinator {
namespace {

using ::testing::HasSubstr;

// SmolLM2-135M.
weights::DecoderConfig small_model() {
  weights::DecoderConfig config;  // 134515008 weights
  config.vocab_size = 49152;
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_hidden_layers = 30;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.head_dim = 64;
  config.tie_word_embeddings = true;
  return config;
}

std::uint64_t bytes_of(const std::vector<MemoryEntry>& entries, const std::string& what) {
  for (const MemoryEntry& entry : entries) {
    if (entry.what == what) {
      return entry.bytes;
    }
  }
  ADD_FAILURE() << "no entry " << what;
  return 0;
}

TEST(MemoryEstimate, AdapterSizesByHand) {
  // q: 576 + 576, v: 576 + 192 per layer; rank 8, 30 layers: 8 * 30 * 1920 = 460800 (as PEFT
  // counts).
  EXPECT_EQ(lora_parameters(small_model(), 8, {"q_proj", "v_proj"}), 460800u);
  // All seven: 1152 + 768 + 768 + 1152 + 3 * 2112 = 10176; rank 16: 16 * 30 * 10176 = 4884480.
  EXPECT_EQ(lora_parameters(
                small_model(), 16,
                {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
            4884480u);
  EXPECT_THROW(lora_parameters(small_model(), 8, {"q_prog"}), base::Error);
}

TEST(MemoryEstimate, EntriesByHand) {
  MemoryRequest request;
  request.model = small_model();
  request.lora_rank = 8;
  request.lora_targets = {"q_proj", "v_proj"};
  request.micro_batch_rows = 2;
  request.max_tokens_per_row = 100;
  request.labels_per_row = 10;
  request.gradient_slots = 4;
  request.eval_rows = 3;
  request.max_new_tokens = 28;
  const MemoryEstimate estimate = estimate_memory(request);
  EXPECT_EQ(bytes_of(estimate.training, "base weights"), 4u * 134515008u);
  EXPECT_EQ(bytes_of(estimate.training, "adapter"), 4u * 460800u);
  EXPECT_EQ(bytes_of(estimate.training, "optimizer moments"), 8u * 460800u);
  EXPECT_EQ(bytes_of(estimate.training, "gradients"), 5u * 4u * 460800u);
  // 4 * 576 + 64 * 36 + 4 * 1536 + 2 * 8 = 10768 values a token and layer; 200 tokens, 30 layers, 4
  // bytes.
  EXPECT_EQ(bytes_of(estimate.training, "activations"), 200u * 30u * 10768u * 4u);
  EXPECT_EQ(bytes_of(estimate.training, "logits"), 3u * 4u * 20u * 49152u);
  // 2 * 30 * 3 * 64 = 11520 values a token (46 KB in fp32), 3 rows of 128.
  EXPECT_EQ(bytes_of(estimate.evaluation, "key/value cache"), 3u * 128u * 11520u * 4u);
}

TEST(MemoryEstimate, MappedWeightsAreCountedOncePerMachine) {
  MemoryRequest request;
  request.model = small_model();
  request.ranks_on_node = 4;
  request.compute_bytes = 2;
  const std::uint64_t weights = 2u * 134515008u;
  const MemoryEstimate own = estimate_memory(request);
  request.weights_are_mapped = true;
  const MemoryEstimate shared = estimate_memory(request);
  EXPECT_EQ(own.bytes_per_node - shared.bytes_per_node, 3 * weights);
  EXPECT_EQ(own.training_bytes_per_rank, shared.training_bytes_per_rank);
  EXPECT_EQ(own.bytes_per_node, 4 * own.training_bytes_per_rank);
  EXPECT_THAT(memory_text(shared), HasSubstr("shared by the machine's ranks"));
}

TEST(MemoryEstimate, RanksThatFitByHand) {
  MemoryEstimate estimate;
  estimate.training = {{"weights", 100, true}, {"program", 10, false}, {"activations", 30, false}};
  estimate.evaluation = {{"weights", 100, true}, {"program", 10, false}};
  EXPECT_EQ(ranks_that_fit(estimate, 100), 0u);
  EXPECT_EQ(ranks_that_fit(estimate, 139), 0u);
  EXPECT_EQ(ranks_that_fit(estimate, 140), 1u);  // 100 + 40
  EXPECT_EQ(ranks_that_fit(estimate, 259), 3u);  // 100 + 3 * 40 = 220, a fourth needs 260
  estimate.evaluation.push_back({"cache", 90, false});
  EXPECT_EQ(ranks_that_fit(estimate, 259), 1u);  // 100 + 100, in the other phase
}

TEST(MemoryEstimate, RanksThatFitAgreesWithTheNodesNeed) {
  MemoryRequest request;
  request.model = small_model();
  request.lora_rank = 8;
  request.lora_targets = {"q_proj", "v_proj"};
  request.micro_batch_rows = 4;
  request.max_tokens_per_row = 300;
  request.labels_per_row = 50;
  request.eval_rows = 16;
  request.max_new_tokens = 50;
  for (const bool is_mapped : {false, true}) {
    request.weights_are_mapped = is_mapped;
    for (int ranks = 1; ranks < 20; ++ranks) {
      request.ranks_on_node = ranks;
      const MemoryEstimate estimate = estimate_memory(request);
      const auto wanted = static_cast<std::uint64_t>(ranks);
      EXPECT_EQ(ranks_that_fit(estimate, estimate.bytes_per_node), wanted);
      EXPECT_EQ(ranks_that_fit(estimate, estimate.bytes_per_node - 1), wanted - 1);
    }
  }
}

TEST(MemoryEstimate, WarningNamesTheNumbers) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  MemoryEstimate estimate;
  estimate.training = {{"weights", 4 * kGiB, false}};
  estimate.evaluation = {{"weights", 3 * kGiB, false}};
  estimate.training_bytes_per_rank = 4 * kGiB;
  estimate.evaluation_bytes_per_rank = 3 * kGiB;
  estimate.bytes_per_node = 8 * 4 * kGiB;
  EXPECT_EQ(memory_warning(estimate, 8, 32 * kGiB), "");
  const std::string some = memory_warning(estimate, 8, 23 * kGiB);
  EXPECT_THAT(some, HasSubstr("8 ranks of one machine need 32.0 GiB, 5 fit into 23.0 GiB"));
  EXPECT_THAT(some, HasSubstr("start at most 5"));
  const std::string none = memory_warning(estimate, 8, 2 * kGiB);
  EXPECT_THAT(none, HasSubstr("not even one rank fits into 2.0 GiB"));
  EXPECT_THAT(none, HasSubstr("needs 4.0 GiB to train and 3.0 GiB to evaluate"));
}

}  // namespace
}  // namespace baton::coordinator
