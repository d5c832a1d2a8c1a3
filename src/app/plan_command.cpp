// `baton plan`: reads config and data, encodes what would be trained, and shows the plan. Loads no
// weights. An expert's rows are counted exactly; its tokens are estimated from one draw of
// negatives for all experts, so that the work grows with the tasks and not with their square.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/sampler.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/memory_facts.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/row_meter.hpp"
#include "baton/experiment/run_setup.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/method/method.hpp"
#include "baton/run/run_record.hpp"
#include "commands.hpp"
#include "plan_report.hpp"

namespace baton::app {

namespace {

// One task after the other: their rows together may be more than a machine holds.
experiment::RunFacts facts_for_plan(const config::Config& config,
                                    const experiment::RowMaking& making) {
  const experiment::RowMeter meter(making);
  const data::Dataset dataset(config.data.dataset_dir);
  experiment::RunFacts facts;
  facts.general_sums = meter.general(experiment::read_general_rows(config, making.method));
  for (const std::string& name : config.data.tasks) {
    const std::vector<data::Example> train =
        dataset
            .read_task(name, {.max_train_samples = config.data.max_train_samples,
                              .max_eval_samples = config.data.max_eval_samples})
            .train;
    experiment::TaskFacts task;
    task.name = name;
    task.num_rows = meter.num_learnt(static_cast<std::int64_t>(train.size()));
    task.own = meter.own(name, train);
    if (const auto buffer = making.method.make_buffer({name, train})) {
      task.rehearsed = meter.rehearsed(*buffer);
    }
    facts.tasks.push_back(std::move(task));
  }
  return facts;
}

coordinator::MemoryRequest memory_request(const config::Config& config) {
  coordinator::MemoryRequest memory;
  memory.model = weights::read_decoder_config(config.model.model_name_or_path);
  const bool bf16 =
      config.model.dtype == "bfloat16" || (config.model.dtype == "auto" && device::has_fast_bf16());
  memory.compute_bytes = bf16 ? 2 : 4;
  memory.weights_are_mapped = memory.model.torch_dtype == (bf16 ? "bfloat16" : "float32");
  memory.lora_rank = static_cast<int>(config.lora.lora_rank);
  memory.lora_targets = config.lora.lora_target;
  memory.micro_batch_rows = config.train.micro_batch_size;
  memory.eval_rows = config.eval.eval_batch_size;
  memory.max_new_tokens = config.data.max_new_tokens;
  return memory;
}

coordinator::PlanRequest wishes_of(const config::Config& config) {
  coordinator::PlanRequest wishes;
  experiment::fill_plan_request(config, wishes);
  return wishes;
}

void add_tasks(const config::Config& config,
               const experiment::RowMaking& making,
               PlanInputs& inputs) {
  const experiment::RunFacts facts = facts_for_plan(config, making);
  const std::int64_t micro = config.train.micro_batch_size;
  const std::filesystem::path root = config.output.output_dir;
  const run::RunPaths paths(root, config.data.tasks);
  for (const method::LearnerPlan& learner : making.method.learners(facts.tasks.size())) {
    const experiment::RowSums sums = facts.sums_of(learner);
    PlanTask task;
    task.name = facts.tasks[learner.position].name;
    task.num_rows = sums.num_rows;
    task.tokens_per_epoch = static_cast<double>(sums.num_tokens);
    task.num_epochs = config.train.num_train_epochs * facts.cost_factor_of(learner, making.method);
    task.num_steps = data::Sampler(task.num_rows, config.train.train_batch_size, micro,
                                   config.train.num_train_epochs, 0)
                         .num_updates();
    task.max_useful_ranks = experiment::max_useful_ranks(config);
    task.is_trained = !root.empty() &&
                      std::filesystem::exists(paths.path_of(paths.expert_file(learner.position)));
    inputs.tasks.push_back(task);
    coordinator::MemoryRequest& memory = inputs.memory;
    memory.max_tokens_per_row = std::max(memory.max_tokens_per_row, sums.longest_row);
    memory.labels_per_row = std::max(memory.labels_per_row, sums.longest_target);
    memory.row_bytes = std::max(memory.row_bytes, experiment::bytes_held(sums));
  }
}

}  // namespace

int run_plan_command(const config::Command& command) {
  PlanInputs inputs;
  if (!command.gpus.empty()) {
    inputs.gpus = coordinator::gpus_named(command.gpus);
  }
  const config::Config config =
      config::load_config(command.config_file, command.overrides, config::Purpose::kPlan);
  experiment::Workspace workspace;
  experiment::open_text_parts(config, workspace);
  const std::unique_ptr<method::Method> method = method::make_method(config);
  experiment::find_indicators(config.method, *method, workspace);
  inputs.memory = memory_request(config);
  const data::RowEncoder encoder =
      experiment::make_row_encoder(config, workspace, inputs.memory.model);
  add_tasks(config,
            {*method, workspace.indicators.value_or(expert::Indicators{}), encoder,
             config.data.cutoff_len, experiment::validation_size_of(config)},
            inputs);
  inputs.num_ranks = static_cast<int>(command.num_ranks);
  inputs.ranks_per_node = static_cast<int>(command.num_ranks_per_node.value_or(0));
  inputs.wishes = wishes_of(config);
  inputs.machine_bytes = device::memory_facts().usable_bytes;
  inputs.as_json = command.as_json;
  return run_plan(inputs, std::cout);
}

}  // namespace baton::app
