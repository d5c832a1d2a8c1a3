#include "baton/expert/expert_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"

namespace baton::expert {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Identity, FingerprintIsTheDigestOfLengthPrefixedNamesAndValues) {
  Identity identity;
  identity.set("seed", "7");
  identity.set("rank", "16");
  EXPECT_EQ(identity.fingerprint(),
            base::sha256_hex("32:baton expert identity, version 14:rank2:164:seed1:7"));
}

TEST(Identity, FingerprintDependsOnEveryNameAndValueButNotOnTheOrderOfSetting) {
  Identity first;
  first.set("a", "1");
  first.set("b", "2");
  Identity second;
  second.set("b", "2");
  second.set("a", "1");
  EXPECT_EQ(first.fingerprint(), second.fingerprint());
  second.set("a", "12");
  EXPECT_NE(first.fingerprint(), second.fingerprint());
  Identity shifted;  // the same characters with other borders
  shifted.set("a1", "");
  shifted.set("b", "2");
  EXPECT_NE(first.fingerprint(), shifted.fingerprint());
  Identity smaller;
  smaller.set("a", "1");
  EXPECT_NE(first.fingerprint(), smaller.fingerprint());
}

TEST(Identity, DifferencesAreNamedOneALine) {
  Identity expected;
  expected.set("learning_rate", "0.0002");
  expected.set("seed", "7");
  expected.set("template", "chatml");
  Identity found;
  found.set("learning_rate", "0.0001");
  found.set("seed", "7");
  found.set("general", "");
  EXPECT_THAT(describe_differences(expected, found),
              ElementsAre("general: expected nothing, found (empty)",
                          "learning_rate: expected 0.0002, found 0.0001",
                          "template: expected chatml, found nothing"));
  EXPECT_THAT(describe_differences(expected, expected), IsEmpty());
}

TEST(PeftKey, AttentionAndFeedForwardModules) {
  EXPECT_EQ(peft_key(0, "q_proj", 'A'),
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(peft_key(29, "o_proj", 'B'),
            "base_model.model.model.layers.29.self_attn.o_proj.lora_B.weight");
  EXPECT_EQ(peft_key(3, "gate_proj", 'A'),
            "base_model.model.model.layers.3.mlp.gate_proj.lora_A.weight");
  EXPECT_EQ(peft_key(3, "down_proj", 'B'),
            "base_model.model.model.layers.3.mlp.down_proj.lora_B.weight");
}

TEST(PeftKey, RefusesWhatIsNoFactorOfALinear) {
  EXPECT_THROW(peft_key(0, "lm_head", 'A'), base::Error);
  EXPECT_THROW(peft_key(0, "q_proj", 'C'), base::Error);
  EXPECT_THROW(peft_key(-1, "q_proj", 'A'), base::Error);
}

TEST(LoraTargetNames, StorageOrder) {
  EXPECT_THAT(lora_target_names(), ElementsAre("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj",
                                               "up_proj", "down_proj"));
}

}  // namespace
}  // namespace baton::expert
