#include "baton/experiment/run_rows.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/wire.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/data/dataset.hpp"
#include "baton/experiment/row_meter.hpp"
#include "baton/method/task_buffer.hpp"
#include "unit/data/fake_tokenizer.hpp"

namespace baton::experiment {
namespace {

using testing::HasSubstr;

constexpr expert::Indicators kIndicators{.accept = 'Y', .pass = 'N'};
constexpr std::size_t kNumTasks = 3;
constexpr int kNumRows = 40;

// Three tasks on disk with their buffers, and the facts that rank 0 would tell the others.
class RunRowsTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("baton_run_rows_" + std::string(info->name()) + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "data");
    std::filesystem::create_directories(folder_ / "run" / "buffers");
    config_ = config::parse_config(
        "[model]\nmodel_name_or_path = m\n[data]\ndataset_dir = " + (folder_ / "data").string() +
            "\ntasks = t0, t1, t2\n[output]\noutput_dir = " + (folder_ / "run").string() + "\n",
        "test.cfg", {}, config::Purpose::kTrain);
    method_ = method::make_method(config_);
    const RowMeter meter(making());
    for (int task = 0; task < static_cast<int>(kNumTasks); ++task) {
      facts_.tasks.push_back(make_task(task, meter));
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file_of(int task) const {
    return folder_ / "data" / ("t" + std::to_string(task) + ".train.json");
  }

  TaskFacts make_task(int task, const RowMeter& meter) const {
    const std::string name = "t" + std::to_string(task);
    std::ofstream rows(file_of(task));
    for (int row = 0; row < kNumRows; ++row) {
      rows << R"({"id": ")" << row << R"(", "full_prompt": ")"
           << std::string(static_cast<std::size_t>(5 + row + task), 'p') << R"(", "output": "a)"
           << task << "\"}\n";
    }
    rows.close();
    std::ofstream(folder_ / "data" / (name + ".eval.json"))
        << R"({"full_prompt": "q", "output": "a"})";
    const std::vector<data::Example> train = data::Dataset(folder_ / "data").read_train(name, 0);
    const data::RehearsalBuffer buffer =
        method::make_buffer(name, train, {.ratio = 0.5, .floor = 0}, 1);
    checkpoint::save_buffer(
        folder_ / "run" / "buffers" / ("0" + std::to_string(task + 1) + "-" + name + ".h5"),
        buffer);
    return {.name = name,
            .rows_fingerprint = data::rows_fingerprint(train),
            .buffer_fingerprint = buffer.fingerprint(),
            .num_rows = kNumRows,
            .own = meter.own(name, train),
            .rehearsed = meter.rehearsed(buffer)};
  }

  RowMaking making() const { return {*method_, kIndicators, encoder_, 100}; }
  method::LearnerPlan learner(std::size_t position) const {
    return method_->learners(kNumTasks)[position];
  }

  std::string error_of(base::ErrorKind kind, const std::function<void()>& call) const {
    try {
      call();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }

  std::filesystem::path folder_;
  config::Config config_;
  data::FakeTokenizer tokenizer_;
  data::FakeTemplate template_{tokenizer_};
  data::RowEncoder encoder_{tokenizer_, template_, 100};
  std::unique_ptr<method::Method> method_;
  RunFacts facts_;
};

TEST_F(RunRowsTest, FactsSurviveTheWayToTheOtherRanks) {
  facts_.general = data::Dataset(folder_ / "data").read_train("t1", 3);
  facts_.general_fingerprint = "g";
  facts_.general_sums = {
      .num_rows = 1, .num_tokens = 2, .longest_row = 3, .longest_target = 4, .text_bytes = 5};
  const RunFacts found = base::from_bytes<RunFacts>(base::to_bytes(facts_), "facts");
  ASSERT_EQ(found.tasks.size(), facts_.tasks.size());
  EXPECT_EQ(found.tasks[2].buffer_fingerprint, facts_.tasks[2].buffer_fingerprint);
  EXPECT_EQ(data::rows_fingerprint(found.general), data::rows_fingerprint(facts_.general));
  EXPECT_EQ(found.general_fingerprint, "g");
  for (std::size_t task = 0; task < found.tasks.size(); ++task) {
    EXPECT_EQ(found.sums_of(learner(task)).num_tokens, facts_.sums_of(learner(task)).num_tokens);
    EXPECT_EQ(found.sums_of(learner(task)).text_bytes, facts_.sums_of(learner(task)).text_bytes);
  }
}

TEST_F(RunRowsTest, ReadsOneExpertsRowsAndNoOthers) {
  const ExpertRows rows = read_expert_rows(config_, facts_, learner(1));
  EXPECT_EQ(rows.task, "t1");
  ASSERT_EQ(rows.own.size(), 1U);
  EXPECT_EQ(rows.own[0].rows.size(), 40U);
  ASSERT_EQ(rows.earlier.size(), 1U);
  EXPECT_EQ(rows.earlier[0].task, "t0");
}

TEST_F(RunRowsTest, MeteredRowsAreThoseThatAreTrained) {
  for (std::size_t task = 0; task < facts_.tasks.size(); ++task) {
    const PreparedExpert prepared =
        prepare_expert(making(), read_expert_rows(config_, facts_, learner(task)), {});
    const RowSums sums = facts_.sums_of(learner(task));
    EXPECT_EQ(sums.num_rows, prepared.num_positive + prepared.num_negative);
    EXPECT_EQ(sums.num_rows, static_cast<std::int64_t>(prepared.training.size()));
    std::int64_t num_tokens = 0;
    for (const data::TrainingRow& row : prepared.training) {
      num_tokens += static_cast<std::int64_t>(row.tokens.size());
      EXPECT_LE(static_cast<std::int64_t>(row.tokens.size()),
                sums.longest_row + static_cast<std::int64_t>(kNumTasks));
    }
    // Exact but for which of a buffer's rows are drawn.
    EXPECT_NEAR(static_cast<double>(sums.num_tokens), static_cast<double>(num_tokens),
                0.1 * static_cast<double>(num_tokens));
  }
}

TEST_F(RunRowsTest, SomeRowsStandForAll) {
  const std::vector<data::Example> train = data::Dataset(folder_ / "data").read_train("t0", 0);
  const RowSums all = RowMeter(making()).own("t0", train);
  const RowSums some = RowMeter(making(), 10).own("t0", train);
  EXPECT_EQ(some.num_rows, all.num_rows);
  EXPECT_NEAR(static_cast<double>(some.num_tokens), static_cast<double>(all.num_tokens),
              0.1 * static_cast<double>(all.num_tokens));
}

TEST_F(RunRowsTest, ValidationRowsAreOwnOnesThatNobodyElseGets) {
  for (const std::string name : {"see", "sequential", "replay", "multitask", "single", "o_lora"}) {
    config_.method.method = name;
    config_.data.val_size = 0.25;
    method_ = method::make_method(config_);
    RowMaking making = this->making();
    making.validation = validation_size_of(config_);
    const method::LearnerPlan plan = method_->learners(kNumTasks).back();
    const PreparedExpert prepared =
        prepare_expert(making, read_expert_rows(config_, facts_, plan), {});
    EXPECT_EQ(prepared.validation.size(), plan.own_tasks.size() * kNumRows / 4) << name;
    std::set<std::vector<tokenizer::TokenId>> own;
    for (const auto* list : {&prepared.training, &prepared.held_out}) {
      for (const data::TrainingRow& row : *list) {
        if (row.role == data::RowRole::kPositive) {
          own.insert(row.tokens);
        }
      }
    }
    EXPECT_EQ(own.size(), plan.own_tasks.size() * kNumRows * 3 / 4) << name;
    for (const data::TrainingRow& row : prepared.validation) {
      EXPECT_FALSE(own.contains(row.tokens)) << name;
      const auto first = row.tokens[static_cast<std::size_t>(row.prompt_length)];
      EXPECT_EQ(first, name == "see" ? 'Y' : 'a') << name;  // the opening, or the answer
    }
    const auto metered =
        RowMeter(making).own("t2", read_expert_rows(config_, facts_, plan).own.back().rows);
    EXPECT_EQ(metered.num_rows, 30) << name;
  }
}

TEST_F(RunRowsTest, RowsThatChangedMeanwhileAreRefused) {
  std::ofstream(file_of(1), std::ios::app) << R"({"full_prompt": "new", "output": "a"})"
                                           << "\n";
  EXPECT_THAT(
      error_of(base::ErrorKind::kData, [&] { read_expert_rows(config_, facts_, learner(1)); }),
      HasSubstr("task t1"));
  facts_.tasks[0].buffer_fingerprint = std::string(64, '0');
  EXPECT_THAT(
      error_of(base::ErrorKind::kData, [&] { read_expert_rows(config_, facts_, learner(2)); }),
      HasSubstr("01-t0.h5"));
}

TEST_F(RunRowsTest, ATaskWithoutAFittingRowIsRefused) {
  const data::RowEncoder narrow(tokenizer_, template_, 3);
  const std::string error = error_of(base::ErrorKind::kData, [&] {
    prepare_expert({*method_, kIndicators, narrow, 3},
                   read_expert_rows(config_, facts_, learner(0)), {});
  });
  EXPECT_THAT(error, HasSubstr("task t0"));
  EXPECT_THAT(error, HasSubstr("40 longer ones"));
}

}  // namespace
}  // namespace baton::experiment
