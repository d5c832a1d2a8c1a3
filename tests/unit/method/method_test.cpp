#include "baton/method/method.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "baton/base/error.hpp"

namespace baton::method {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

config::Config config_with(const std::string& lines) {
  return config::parse_config(
      "[model]\nmodel_name_or_path = m\n[data]\ndataset_dir = d\ntasks = a, b, c\n[method]\n" +
          lines + "[output]\noutput_dir = r\n",
      "test.cfg", {}, config::Purpose::kTrain);
}

std::vector<data::Example> rows_of(const std::string& task, std::size_t count) {
  std::vector<data::Example> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back({.id = task + std::to_string(i),
                    .conversation = {{"user", task + " question " + std::to_string(i)}},
                    .references = {"answer"},
                    .origin = task});
  }
  return rows;
}

TEST(MethodTest, AnUnknownNameIsRefusedWithTheNearest) {
  config::Config config = config_with("");
  config.method.method = "se";
  try {
    make_method(config);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("\"see\""));
  }
}

TEST(SeeTest, AnExpertATaskRehearsesWhatCameBefore) {
  const auto see = make_method(config_with(""));
  const std::vector<LearnerPlan> learners = see->learners(3);
  ASSERT_EQ(learners.size(), 3U);
  EXPECT_THAT(learners[2].own_tasks, ElementsAre(2));
  EXPECT_THAT(learners[2].buffers, ElementsAre(0, 1));
  EXPECT_TRUE(learners[0].takes_general);
  EXPECT_FALSE(learners[2].begins_from.has_value());
  EXPECT_TRUE(see->has_experts());
  EXPECT_TRUE(see->finds_threshold());
  EXPECT_FALSE(make_method(config_with("accept_threshold = 0.5\n"))->finds_threshold());
  EXPECT_EQ(make_method(config_with("accept_threshold = 0.5\n"))->threshold({}), 0.5);
}

TEST(SeeTest, OwnRowsAnswerAndOthersPass) {
  const auto see = make_method(config_with("accept_threshold = 0\n"));
  const std::vector<data::Example> own = rows_of("b", 8);
  const std::vector<data::Example> before = rows_of("a", 8);
  const std::vector<data::Example> general = rows_of("g", 4);
  const std::vector<data::RehearsalBuffer> buffers{*see->make_buffer({"a", before})};
  const TrainingSet set = see->training_set({.name = "b",
                                             .indicators = {.accept = 7, .pass = 9},
                                             .own = {{"b", own}},
                                             .buffers = buffers,
                                             .general = general});
  ASSERT_EQ(set.training.size(), 20U);
  for (const data::SelectedRow& row : set.training) {
    const bool is_own = row.role == data::RowRole::kPositive;
    EXPECT_EQ(row.has_answer, is_own);
    EXPECT_THAT(row.opening, ElementsAre(is_own ? 7 : 9));
  }
}

// Six own and two foreign rows: log 3 above what a classifier of as many would say.
TEST(SeeTest, PriorCorrectionShiftsAFixedThreshold) {
  std::vector<data::TrainingRow> rows(8);
  rows[6].role = data::RowRole::kRehearsal;
  rows[7].role = data::RowRole::kMismatch;
  const auto threshold = [&](const std::string& lines) {
    std::vector<data::TrainingRow> weighed = rows;
    const auto see = make_method(config_with("accept_threshold = 0.5\n" + lines));
    see->weigh_openings(weighed);
    return see->threshold(weighed);
  };
  EXPECT_EQ(threshold(""), 0.5);
  EXPECT_EQ(threshold("indicator_balance = false\n"), 0.5);
  EXPECT_DOUBLE_EQ(threshold("indicator_balance = false\nprior_correction = true\n"),
                   0.5 + std::log(3.0));
  EXPECT_NEAR(threshold("prior_correction = true\n"), 0.5, 1e-12);  // balanced: nothing to correct
  rows.resize(6);
  EXPECT_EQ(threshold("indicator_balance = false\nprior_correction = true\n"), 0.5);
  const auto doubts = [](const std::string& lines) {
    return make_method(config_with("prior_correction = true\n" + lines))->doubts();
  };
  ASSERT_EQ(doubts("").size(), 1U);
  EXPECT_THAT(doubts("")[0], HasSubstr("auto"));
  EXPECT_THAT(doubts("accept_threshold = 0\n")[0], HasSubstr("indicator_balance"));
  EXPECT_TRUE(doubts("accept_threshold = 0\nindicator_balance = false\n").empty());
}

// Own and foreign openings together weigh as much as unweighted ones.
TEST(SeeTest, OpeningsAreBalanced) {
  std::vector<data::TrainingRow> rows(4);
  rows[3].role = data::RowRole::kGeneral;
  make_method(config_with("indicator_balance = false\n"))->weigh_openings(rows);
  EXPECT_EQ(rows[3].opening_weight, 1);
  make_method(config_with(""))->weigh_openings(rows);
  EXPECT_DOUBLE_EQ(rows[0].opening_weight, 2.0 / 3);
  EXPECT_DOUBLE_EQ(rows[3].opening_weight, 2);
}

TEST(SeeTest, SmallTasksCostTwoMoreHalfTrainings) {
  const auto see = make_method(config_with(""));
  EXPECT_EQ(see->cost_factor(20), 2);
  EXPECT_EQ(see->cost_factor(200), 1);
}

std::vector<std::size_t> positions_of(const std::vector<LearnerPlan>& learners) {
  std::vector<std::size_t> positions;
  for (const LearnerPlan& learner : learners) {
    positions.push_back(learner.position);
  }
  return positions;
}

TEST(OtherMethodsTest, EachHasItsLearners) {
  const auto learners = [](const std::string& name) {
    return make_method(config_with("method = " + name + "\n"))->learners(3);
  };
  EXPECT_THAT(positions_of(learners("sequential")), ElementsAre(0, 1, 2));
  EXPECT_EQ(learners("sequential")[2].begins_from, 1U);
  EXPECT_FALSE(learners("sequential")[0].begins_from.has_value());
  EXPECT_THAT(learners("sequential")[2].buffers, ElementsAre());
  EXPECT_THAT(learners("replay")[2].buffers, ElementsAre(0, 1));
  EXPECT_EQ(learners("replay")[2].begins_from, 1U);
  EXPECT_THAT(positions_of(learners("multitask")), ElementsAre(2));
  EXPECT_THAT(learners("multitask")[0].own_tasks, ElementsAre(0, 1, 2));
  EXPECT_THAT(learners("single")[2].beside, ElementsAre());
  EXPECT_THAT(learners("o_lora")[2].beside, ElementsAre(0, 1));
  EXPECT_FALSE(learners("o_lora")[2].begins_from.has_value());
  EXPECT_TRUE(learners("base").empty());
}

TEST(OtherMethodsTest, EveryRowIsLearntWithItsAnswer) {
  const auto replay = make_method(config_with("method = replay\n"));
  const std::vector<data::Example> own = rows_of("b", 5);
  const std::vector<data::Example> before = rows_of("a", 4);
  const std::vector<data::RehearsalBuffer> buffers{*replay->make_buffer({"a", before})};
  const TrainingSet set =
      replay->training_set({.name = "b", .own = {{"b", own}}, .buffers = buffers});
  ASSERT_EQ(set.training.size(), 9U);
  EXPECT_TRUE(set.held_out.empty());
  for (std::size_t i = 0; i < set.training.size(); ++i) {
    EXPECT_TRUE(set.training[i].has_answer);
    EXPECT_TRUE(set.training[i].opening.empty());
    EXPECT_EQ(set.training[i].task, i < 5 ? "b" : "a");
  }
  EXPECT_FALSE(make_method(config_with("method = multitask\n"))->make_buffer({"a", before}));
}

TEST(OtherMethodsTest, OnlyTheKeysThatAMethodReadsAreItsOwn) {
  const auto reads = [](const std::string& name, const std::string& key) {
    return make_method(config_with("method = " + name + "\n"))->reads(key);
  };
  for (const std::string& name : method_names()) {
    EXPECT_TRUE(reads(name, "method.method")) << name;
    EXPECT_TRUE(reads(name, "lora.lora_rank")) << name;
    EXPECT_EQ(reads(name, "method.lambda"), name == "o_lora") << name;
    EXPECT_EQ(reads(name, "method.accept_indicator"), name == "see") << name;
    EXPECT_EQ(reads(name, "data.general"), name == "see") << name;
    EXPECT_EQ(reads(name, "method.buffer_ratio"), name == "see" || name == "replay") << name;
  }
}

TEST(OtherMethodsTest, WhatWasLearntLastAnswers) {
  const auto router = make_method(config_with("method = sequential\n"))->make_router();
  const std::vector<PanelExpert> experts(2);
  EXPECT_EQ(route(*router, {}, experts, {}).answerers.front().expert, 1);
  EXPECT_EQ(route(*router, {}, {}, {}).answerers.front().expert, kBase);
  EXPECT_TRUE(make_method(config_with("method = single\n"))->make_router()->needs_true_task());
  EXPECT_THROW(make_method(config_with("method = replay\nrouter = oracle\n")), base::Error);
}

}  // namespace
}  // namespace baton::method
