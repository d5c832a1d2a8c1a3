#include "baton/expert/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "baton/base/error.hpp"

namespace baton::expert {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Rank 2 on q_proj (6 inputs, 4 outputs) and down_proj (8 inputs, 6 outputs) of two layers.
ExpertState good_expert() {
  ExpertState state;
  state.task = "qa";
  state.base_fingerprint = "b";
  state.lora_rank = 2;
  state.lora_alpha = 16;
  state.lora_target = {"q_proj", "down_proj"};
  state.accept_token_id = 3;
  state.pass_token_id = 9;
  state.roc = {{-0.5, 1, 0.25}};
  state.prompt_template = "chatml";
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    const auto add = [&](const char* module, std::int64_t out, std::int64_t in) {
      state.arrays.push_back({peft_key(layer, module, 'A'), {2, in}, {}});
      state.arrays.back().values.resize(static_cast<std::size_t>(2 * in), 0.5F);
      state.arrays.push_back({peft_key(layer, module, 'B'), {out, 2}, {}});
      state.arrays.back().values.resize(static_cast<std::size_t>(2 * out), -1.0F);
    };
    add("q_proj", 4, 6);
    add("down_proj", 6, 8);
  }
  return state;
}

/// (out, in) of q k v o gate up down.
const BaseSizes kBase{10, 2, {{4, 6}, {2, 6}, {2, 6}, {6, 4}, {8, 6}, {8, 6}, {6, 8}}};

/// The fact that is refused; "" when none is.
std::string refused(const std::function<void(ExpertState&)>& change,
                    const Expected& expected = {}) {
  ExpertState state = good_expert();
  change(state);
  try {
    check_expert(state, "dir/01-qa.h5", expected);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    EXPECT_THAT(error.details().where, HasSubstr("dir/01-qa.h5, "));
    EXPECT_FALSE(error.details().expected.empty());
    EXPECT_FALSE(error.details().found.empty());
    return error.details().where.substr(std::string("dir/01-qa.h5, ").size());
  }
  return "";
}

TEST(CheckExpert, AGoodOnePasses) {
  EXPECT_EQ(refused([](ExpertState&) {}), "");
  EXPECT_EQ(refused([](ExpertState&) {}, {"qa", kBase}), "");
  EXPECT_EQ(refused([](ExpertState& state) { state.arrays.resize(4); }, {"qa", kBase}), "")
      << "a subset of the layers is an expert too";
  EXPECT_EQ(refused([](ExpertState& state) {
              state.lora_activation = "invocation";
              state.invocation_ids = {1, 2};
            }),
            "");
}

TEST(CheckExpert, FactsByThemselves) {
  const std::vector<std::pair<std::string, std::function<void(ExpertState&)>>> changes = {
      {"task", [](ExpertState& state) { state.task = ""; }},
      {"task", [](ExpertState& state) { state.task = "q\xff"; }},
      {"task", [](ExpertState& state) { state.task = "q\x1b[2J"; }},
      {"template", [](ExpertState& state) { state.prompt_template = "\xc3"; }},
      {"base_fingerprint", [](ExpertState& state) { state.base_fingerprint = "\x80"; }},
      {"lora_activation", [](ExpertState& state) { state.lora_activation = "part"; }},
      {"lora_activation", [](ExpertState& state) { state.lora_activation = ""; }},
      {"lora_target", [](ExpertState& state) { state.lora_target = {"x_proj"}; }},
      {"lora_target",
       [](ExpertState& state) {
         state.lora_target = {"q_proj", "q_proj"};
       }},
      {"lora_target", [](ExpertState& state) { state.lora_target.clear(); }},
      {"lora_rank", [](ExpertState& state) { state.lora_rank = 0; }},
      {"lora_rank", [](ExpertState& state) { state.lora_rank = -2; }},
      {"lora_rank", [](ExpertState& state) { state.lora_rank = 1 << 20; }},
      {"lora_alpha", [](ExpertState& state) { state.lora_alpha = kNan; }},
      {"lora_alpha", [](ExpertState& state) { state.lora_alpha = 0; }},
      {"lora_alpha", [](ExpertState& state) { state.lora_alpha = -1; }},
      {"lora_alpha", [](ExpertState& state) { state.lora_alpha = 1e7; }},
      {"lora_alpha", [](ExpertState& state) { state.lora_alpha = kInfinity; }},
      {"lora_dropout", [](ExpertState& state) { state.lora_dropout = kNan; }},
      {"lora_dropout", [](ExpertState& state) { state.lora_dropout = 1; }},
      {"accept_threshold", [](ExpertState& state) { state.accept_threshold = kNan; }},
      {"accept_threshold", [](ExpertState& state) { state.accept_threshold = -kInfinity; }},
      {"roc", [](ExpertState& state) { state.roc[0].threshold = kNan; }},
      {"roc", [](ExpertState& state) { state.roc[0].false_positive_rate = 1.5; }},
      {"steps", [](ExpertState& state) { state.steps = -1; }},
      {"num_positive", [](ExpertState& state) { state.num_positive = -1; }},
      {"num_negative", [](ExpertState& state) { state.num_negative = -1; }},
      {"accept_token_id", [](ExpertState& state) { state.accept_token_id = -1; }},
      {"pass_token_id", [](ExpertState& state) { state.pass_token_id = 1LL << 40; }},
      {"pass_token_id", [](ExpertState& state) { state.pass_token_id = 3; }},
      {"invocation_ids",
       [](ExpertState& state) {
         state.invocation_ids = {4, -4};
       }},
      {"invocation_ids", [](ExpertState& state) { state.lora_activation = "invocation"; }},
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_EQ(refused(changes[i].second), changes[i].first) << "change " << i;
  }
}

TEST(CheckExpert, Arrays) {
  const std::vector<std::pair<std::string, std::function<void(ExpertState&)>>> changes = {
      {"adapter", [](ExpertState& state) { state.arrays.clear(); }},
      {"adapter, layer 1", [](ExpertState& state) { state.arrays.pop_back(); }},
      {"adapter/x", [](ExpertState& state) { state.arrays[0].name = "x"; }},
      {"adapter/", [](ExpertState& state) { state.arrays[1] = state.arrays[0]; }},
      {"adapter/", [](ExpertState& state) { state.arrays[0].name = peft_key(0, "k_proj", 'A'); }},
      {"adapter/", [](ExpertState& state) { state.arrays[0].shape = {12}; }},
      {"adapter/",
       [](ExpertState& state) {
         state.arrays[0].shape = {6, 2};
       }},
      {"adapter/",
       [](ExpertState& state) {
         state.arrays[0].shape = {2, 5};
       }},
      {"adapter/", [](ExpertState& state) { state.arrays[0].values.pop_back(); }},
      {"adapter/",
       [](ExpertState& state) { state.arrays[3].values[7] = static_cast<float>(kNan); }},
      {"adapter/",
       [](ExpertState& state) { state.arrays[3].values[7] = static_cast<float>(kInfinity); }},
      {"adapter/",
       [](ExpertState& state) {  // the layers differ
         state.arrays[4].shape = {2, 7};
         state.arrays[4].values.resize(14);
       }},
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_THAT(refused(changes[i].second), ::testing::StartsWith(changes[i].first))
        << "change " << i;
  }
}

TEST(CheckExpert, AgainstRunAndBase) {
  EXPECT_EQ(refused([](ExpertState&) {}, {.task = "other"}), "task");
  const auto with = [](const std::function<void(BaseSizes&)>& change) {
    BaseSizes base = kBase;
    change(base);
    return refused([](ExpertState&) {}, {"qa", base});
  };
  EXPECT_EQ(with([](BaseSizes& base) { base.vocab_size = 9; }), "pass_token_id");
  EXPECT_THAT(with([](BaseSizes& base) { base.num_layers = 1; }), HasSubstr("layers.1."));
  EXPECT_THAT(with([](BaseSizes& base) { base.linear_shapes[0].first = 5; }), HasSubstr("q_proj"));
  EXPECT_THAT(with([](BaseSizes& base) { base.linear_shapes[6].second = 9; }),
              HasSubstr("down_proj.lora_A"));
}

TEST(PeftKey, IsReadBackToTheLetter) {
  for (const std::int64_t layer : {0, 7, 123}) {
    for (std::size_t module = 0; module < lora_target_names().size(); ++module) {
      const auto place = parse_peft_key(peft_key(layer, lora_target_names()[module], 'B'));
      ASSERT_TRUE(place);
      EXPECT_EQ(place->layer, layer);
      EXPECT_EQ(place->module_index, module);
      EXPECT_EQ(place->factor, 'B');
    }
  }
  const std::string name = peft_key(1, "q_proj", 'A');
  for (const std::string& other :
       {std::string(), name.substr(1), name + "x",
        "base_model.model.model.layers.01" + name.substr(31),
        "base_model.model.model.layers." + std::string(40, '9') + name.substr(31),
        std::string("base_model.model.model.layers.")}) {
    EXPECT_FALSE(parse_peft_key(other)) << other;
  }
}

}  // namespace
}  // namespace baton::expert
