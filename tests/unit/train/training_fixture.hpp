#pragma once
// For tests of training: reference runs as trainers, and groups of ranks simulated by threads.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/json.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/train/lr_schedule.hpp"
#include "baton/train/new_adapter.hpp"
#include "baton/train/trainer.hpp"
#include "support/thread_communicator.hpp"
#include "unit/model/model_fixture.hpp"

namespace baton::test {

inline base::Json read_training_golden(const std::string& name) {
  return base::read_json_file(golden_folder() / "training" / (name + ".json"),
                              base::ErrorKind::kData);
}

/// "constant_with_warmup" is what transformers calls our constant schedule.
inline std::string schedule_name(const base::Json& settings) {
  const std::string name = settings.at("lr_scheduler_type").get<std::string>();
  return name == "constant_with_warmup" ? "constant" : name;
}

inline double warmup_ratio(const base::Json& settings) {
  return settings.at("warmup_updates").get<double>() / settings.at("num_updates").get<double>();
}

inline train::LrSchedule schedule_of(const base::Json& settings) {
  return {train::lr_scheduler_from_name(schedule_name(settings)),
          settings.at("learning_rate").get<double>(), warmup_ratio(settings),
          settings.at("num_updates").get<std::int64_t>()};
}

inline std::vector<data::TrainingRow> training_rows(const base::Json& golden) {
  std::vector<data::TrainingRow> rows;
  for (const base::Json& entry : golden.at("rows")) {
    data::TrainingRow row;
    row.tokens = entry.at("ids").get<std::vector<std::int32_t>>();
    row.prompt_length = entry.at("prompt_length").get<std::int64_t>();
    row.row_index = static_cast<std::int64_t>(rows.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

/// The stored batches, cut into slots of `micro_batch_size` rows.
inline train::UpdateSource stored_updates(const base::Json& golden, std::size_t micro_batch_size) {
  auto updates = golden.at("updates").get<std::vector<std::vector<std::int64_t>>>();
  const auto count = static_cast<std::int64_t>(updates.size());
  return {count, [updates = std::move(updates), micro_batch_size](std::int64_t step) {
            const std::vector<std::int64_t>& rows = updates[static_cast<std::size_t>(step)];
            data::Update update;
            for (std::size_t begin = 0; begin < rows.size(); begin += micro_batch_size) {
              const std::size_t end = std::min(begin + micro_batch_size, rows.size());
              update.slots.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                        rows.begin() + static_cast<std::ptrdiff_t>(end));
            }
            return update;
          }};
}

inline train::TrainerOptions options_of(const base::Json& golden, std::size_t micro_batch_size) {
  const base::Json& settings = golden.at("settings");
  train::TrainerOptions options;
  options.learning_rate = settings.at("learning_rate").get<double>();
  options.lr_scheduler_type = schedule_name(settings);
  options.warmup_ratio = warmup_ratio(settings);
  options.weight_decay = settings.at("weight_decay").get<double>();
  options.max_grad_norm = settings.at("max_grad_norm").get<double>();
  options.updates = stored_updates(golden, micro_batch_size);
  return options;
}

/// An adapter of rank 4 on two linears of the tiny model's two layers, as training begins with it.
inline model::Adapter fresh_adapter(const model::Decoder& model) {
  expert::ExpertState state;
  state.task = "qa";
  state.lora_rank = 4;
  state.lora_alpha = 8;
  state.arrays =
      train::new_adapter_arrays({2, model.config().linear_shapes(), {"q_proj", "down_proj"}, 4}, 3);
  return model::adapter_from_state(state, 2, at::kCPU);
}

/// Rows of a task with something to learn, a model and a fresh adapter with dropout.
class LearnerTest : public ::testing::Test {
 protected:
  LearnerTest()
      : golden_(read_training_golden("tiny-seven")),
        model_(load_tiny("tiny-gqa-tied")),
        group_(comm::make_single_communicator()),
        adapter_(fresh_adapter(*model_)) {
    at::set_num_threads(1);
    options_.micro_batch_size = 2;
    options_.seed = 17;
    adapter_.dropout = 0.1;
  }

  std::unique_ptr<train::Trainer> new_trainer(comm::Communicator& group) const {
    return std::make_unique<train::Trainer>(*model_, group, training_rows(golden_), adapter_,
                                            options_);
  }

  static expert::TrainingState state_of(const train::Trainer& trainer) {
    expert::TrainingState state;
    trainer.learner().copy_state(state);
    return state;
  }

  base::Json golden_;
  std::unique_ptr<model::Decoder> model_;
  std::unique_ptr<comm::Communicator> group_;
  train::TrainerOptions options_;
  model::Adapter adapter_;
};

/// Largest relative differences of a run from the reference; prints them.
struct RunDifferences {
  double loss = 0;
  double gradient_norm = 0;
};

inline RunDifferences follow(train::Trainer& trainer,
                             const base::Json& golden,
                             const std::string& name) {
  RunDifferences largest;
  for (std::size_t step = 0; !trainer.learner().done(); ++step) {
    const train::StepRecord record = trainer.train_step().value();
    const double loss = golden.at("losses")[step].get<double>();
    const double norm = golden.at("grad_norms")[step].get<double>();
    largest.loss = std::max(largest.loss, std::abs(record.loss - loss) / loss);
    largest.gradient_norm =
        std::max(largest.gradient_norm, std::abs(record.gradient_norm - norm) / norm);
    EXPECT_EQ(record.num_target_tokens, golden.at("num_target_tokens")[step].get<std::int64_t>());
    EXPECT_NEAR(record.learning_rate, golden.at("learning_rates")[step].get<double>(), 1e-12);
  }
  std::printf(
      "%s: %lld updates, largest relative difference of losses %.2e, of gradient norms %.2e\n",
      name.c_str(), static_cast<long long>(trainer.learner().num_steps()), largest.loss,
      largest.gradient_norm);
  return largest;
}

/// Runs `work` on every rank of a group of threads; gives what each rank threw (null: nothing).
inline std::vector<std::exception_ptr> errors_on_ranks(
    int size, const std::function<void(comm::Communicator&)>& work) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  testing::run_ranks(size, [&](comm::Communicator& group) {
    try {
      work(group);
    } catch (...) {
      errors[static_cast<std::size_t>(group.rank())] = std::current_exception();
    }
  });
  return errors;
}

}  // namespace baton::test
