// The loss on rows that are not learnt from, and training that ends when it does not fall.

#include "baton/train/validation.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <limits>

#include "baton/base/error.hpp"
#include "baton/train/trainer.hpp"
#include "training_fixture.hpp"

namespace baton::test {
namespace {

using expert::TrainingState;
using train::Trainer;

class ValidationTest : public LearnerTest {
 protected:
  ValidationTest() {
    options_.train_batch_size = 6;
    options_.num_train_epochs = 2;
    options_.early_stopping_patience = 2;
  }

  std::unique_ptr<Trainer> new_trainer() const { return LearnerTest::new_trainer(*group_); }
};

// PEFT says before each of its updates what the mean over the target tokens of the rows is.
TEST_F(ValidationTest, IsPeftsMeanOverTargetTokens) {
  const model::Adapter initial =
      read_adapter(golden_folder() / "training" / "tiny-seven.initial.safetensors", 2,
                   golden_.at("settings").at("lora_alpha").get<double>());
  const std::vector<data::TrainingRow> rows = training_rows(golden_);
  Trainer trainer(*model_, *group_, rows, initial, options_of(golden_, 4));
  double largest = 0;
  for (std::size_t step = 0; !trainer.learner().done(); ++step) {
    std::vector<data::TrainingRow> held;
    for (const base::Json& index : golden_.at("updates")[step]) {
      held.push_back(rows[index.get<std::size_t>()]);
      held.back().opening_weight = 7;  // of learning alone
    }
    const double expected = golden_.at("losses")[step].get<double>();
    for (const std::int64_t batch_size : {1, 2, 64}) {
      const auto loss =
          train::validation_loss({*model_, trainer.learner().uses(), held, batch_size}, *group_);
      largest = std::max(largest, std::abs(loss.value() - expected) / expected);
    }
    trainer.train_step();
  }
  std::printf("largest relative difference %.2e\n", largest);
  EXPECT_LE(largest, 1e-5);
}

TEST_F(ValidationTest, SameBitsOnAnyNumberOfRanksAndWithoutDropout) {
  adapter_.layers[0][0].b.fill_(0.1);
  const std::vector<data::TrainingRow> rows = training_rows(golden_);
  const model::AdapterUses uses(adapter_);
  const double expected = train::validation_loss({*model_, uses, rows, 3}, *group_).value();
  model::Adapter without = adapter_;
  without.dropout = 0;
  const model::AdapterUses undropped(without);
  EXPECT_EQ(train::validation_loss({*model_, undropped, rows, 3}, *group_), expected);
  for (const int size : {2, 3, 4, 9}) {
    testing::run_ranks(size, [&](comm::Communicator& group) {
      at::set_num_threads(1);
      EXPECT_EQ(train::validation_loss({*model_, uses, rows, 3}, group), expected);
    });
  }
}

TEST_F(ValidationTest, AStopOrAnErrorOfOneRankIsThatOfAll) {
  const std::vector<data::TrainingRow> rows = training_rows(golden_);
  const model::AdapterUses uses(adapter_);
  testing::run_ranks(3, [&](comm::Communicator& group) {
    int num_batches = 0;
    const auto stops = [&] { return group.rank() == 1 && ++num_batches == 2; };
    EXPECT_EQ(train::validation_loss({*model_, uses, rows, 2, stops}, group), std::nullopt);
  });
  const auto errors = errors_on_ranks(3, [&](comm::Communicator& group) {
    const auto fails = [&]() -> bool {
      if (group.rank() == 2) {
        throw base::Error(base::ErrorKind::kData, "no", {});
      }
      return false;
    };
    train::validation_loss({*model_, uses, rows, 2, fails}, group);
  });
  for (const std::exception_ptr& error : errors) {
    EXPECT_TRUE(error);
  }
}

// Losses by hand: the lowest is kept, and two in a row without a gain end it.
TEST_F(ValidationTest, KeepsTheLowestAndEndsWithoutAGain) {
  const auto trainer = new_trainer();
  train::ExpertLearner& learner = trainer->learner();
  ASSERT_EQ(learner.num_updates(), 8);
  std::vector<std::vector<float>> learnt;
  for (const double loss : {3.0, 2.0, 2.5, 1.5, std::numeric_limits<double>::quiet_NaN(), 1.5}) {
    EXPECT_FALSE(learner.done());
    trainer->train_step();
    learner.note_validation(loss);
    learnt.push_back(state_of(*trainer).parameters);
  }
  EXPECT_TRUE(learner.done());
  EXPECT_TRUE(learner.stops_early());
  EXPECT_EQ(learner.num_steps(), 6);
  EXPECT_EQ(learner.validation().best_loss, 1.5);
  EXPECT_EQ(learner.take_best(), 4);
  EXPECT_EQ(state_of(*trainer).parameters, learnt[3]);
  EXPECT_NE(learnt[3], learnt[5]);
}

// As transformers' EarlyStoppingCallback counts: what is lower by too little is kept, and is no gain.
TEST_F(ValidationTest, AGainMustBeAboveTheThreshold) {
  options_.early_stopping_threshold = 0.25;
  const auto trainer = new_trainer();
  train::ExpertLearner& learner = trainer->learner();
  for (const double loss : {3.0, 2.8, 2.6}) {
    trainer->train_step();
    learner.note_validation(loss);
  }
  EXPECT_TRUE(learner.stops_early());
  EXPECT_EQ(learner.take_best(), 3);
}

TEST_F(ValidationTest, WithoutPatienceNothingChanges) {
  options_.early_stopping_patience = 0;
  const auto plain = new_trainer();
  const auto watched = new_trainer();
  while (!watched->learner().done()) {
    plain->train_step();
    watched->train_step();
    watched->learner().note_validation(static_cast<double>(watched->learner().num_steps()));
  }
  EXPECT_EQ(watched->learner().num_steps(), 8);
  EXPECT_EQ(watched->learner().take_best(), 8);
  EXPECT_EQ(state_of(*watched).parameters, state_of(*plain).parameters);
  EXPECT_TRUE(state_of(*watched).best_parameters.empty());
}

// Left and taken up again at any update, before or after its validation: the same is kept.
TEST_F(ValidationTest, GoesOnFromSavedState) {
  const std::vector<double> losses = {3.0, 2.0, 2.5, 1.5, 1.7, 1.6, 1.0, 1.0};
  const auto go_on = [&](Trainer& trainer, std::int64_t last, bool validates_last) {
    train::ExpertLearner& learner = trainer.learner();
    const auto validate = [&] {
      if (learner.num_steps() > learner.validation().step &&
          (learner.num_steps() < last || validates_last)) {
        learner.note_validation(losses.at(static_cast<std::size_t>(learner.num_steps() - 1)));
      }
    };
    validate();
    while (!learner.done() && learner.num_steps() < last) {
      trainer.train_step();
      validate();
    }
  };
  const auto undisturbed = new_trainer();
  go_on(*undisturbed, 8, true);
  ASSERT_EQ(undisturbed->learner().num_steps(), 6);
  ASSERT_EQ(undisturbed->learner().take_best(), 4);
  const TrainingState expected = state_of(*undisturbed);
  for (std::int64_t pause = 1; pause <= 6; ++pause) {
    for (const bool validates_last : {false, true}) {
      const auto first = new_trainer();
      go_on(*first, pause, validates_last);
      const auto second = new_trainer();
      second->learner().restore(state_of(*first));
      go_on(*second, 8, true);
      EXPECT_EQ(second->learner().take_best(), 4);
      EXPECT_EQ(state_of(*second).parameters, expected.parameters);
      EXPECT_EQ(state_of(*second).best_parameters, expected.best_parameters);
    }
  }
  TrainingState other = expected;
  other.best_parameters.pop_back();
  EXPECT_THROW(new_trainer()->learner().restore(other), base::Error);
}

}  // namespace
}  // namespace baton::test
