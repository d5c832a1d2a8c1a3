// `baton plan`: reads config and data, encodes what would be trained, and shows the plan. Loads no
// weights. An expert's rows are counted exactly; its tokens are estimated from one draw of
// negatives for all experts, so that the work grows with the tasks and not with their square.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/sampler.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/device/memory_facts.hpp"
#include "baton/experiment/expert_rows.hpp"
#include "baton/experiment/run_setup.hpp"
#include "baton/experiment/workspace.hpp"
#include "baton/method/see_rows.hpp"
#include "baton/run/run_record.hpp"
#include "commands.hpp"
#include "plan_report.hpp"

namespace baton::app {

namespace {

std::vector<experiment::TaskRows> rows_for_plan(const config::Config& config) {
  const data::Dataset dataset(config.data.dataset_dir);
  std::vector<experiment::TaskRows> tasks;
  for (const std::string& name : config.data.tasks) {
    experiment::TaskRows task;
    task.name = name;
    task.train = dataset
                     .read_task(name, {.max_train_samples = config.data.max_train_samples,
                                       .max_eval_samples = 1})
                     .train;
    task.buffer =
        method::make_buffer(name, *task.train, experiment::buffer_size(config), config.train.seed);
    tasks.push_back(std::move(task));
  }
  return tasks;
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

/// Sums over some training rows.
struct RowSums {
  std::int64_t num_rows = 0;
  std::int64_t num_tokens = 0;
};

class TaskCounter {
 public:
  TaskCounter(const config::Config& config,
              const data::RowEncoder& encoder,
              coordinator::MemoryRequest& memory)
      : encoder_(encoder), memory_(memory), options_(experiment::reconstruction_options(config)) {}

  /// Of a task's own rows, as they stand in its expert's training set.
  RowSums positives(const experiment::TaskRows& task) const {
    return count(task.name, *task.train, {}, {})[task.name];
  }

  /// Of the negatives that each task gives every later expert; "" for the general rows.
  std::map<std::string, RowSums> negatives(const std::vector<experiment::TaskRows>& tasks,
                                           const std::vector<data::Example>& general) const {
    std::vector<data::RehearsalBuffer> buffers;
    for (const experiment::TaskRows& task : tasks) {
      buffers.push_back(task.buffer);
    }
    return count("", {}, buffers, general);
  }

 private:
  std::map<std::string, RowSums> count(const std::string& name,
                                       std::span<const data::Example> own,
                                       std::span<const data::RehearsalBuffer> buffers,
                                       std::span<const data::Example> general) const {
    const method::Reconstruction set = method::reconstruct(name, own, buffers, general, options_);
    data::EncodingCounts counts;
    std::map<std::string, RowSums> sums;
    for (const data::TrainingRow& row : encoder_.encode(set.training, counts)) {
      const auto num_tokens = static_cast<std::int64_t>(row.tokens.size());
      ++sums[row.task].num_rows;
      sums[row.task].num_tokens += num_tokens;
      memory_.max_tokens_per_row = std::max(memory_.max_tokens_per_row, num_tokens);
      memory_.labels_per_row = std::max(memory_.labels_per_row, row.num_target_tokens());
    }
    return sums;
  }

  const data::RowEncoder& encoder_;
  coordinator::MemoryRequest& memory_;
  method::ReconstructionOptions options_;
};

void add_tasks(const config::Config& config, const data::RowEncoder& encoder, PlanInputs& inputs) {
  const std::vector<experiment::TaskRows> tasks = rows_for_plan(config);
  const TaskCounter counter(config, encoder, inputs.memory);
  std::map<std::string, RowSums> negatives =
      counter.negatives(tasks, experiment::read_general_rows(config));
  const std::int64_t micro = config.train.micro_batch_size;
  const std::filesystem::path root = config.output.output_dir;
  const run::RunPaths paths(root, config.data.tasks);
  RowSums earlier = negatives[""];
  for (std::size_t index = 0; index < tasks.size(); ++index) {
    const RowSums own = counter.positives(tasks[index]);
    PlanTask task;
    task.name = tasks[index].name;
    task.num_rows = own.num_rows + earlier.num_rows;
    task.tokens_per_epoch = static_cast<double>(own.num_tokens + earlier.num_tokens);
    const bool cross_fits =
        method::cross_fits(experiment::reconstruction_options(config), tasks[index].train->size());
    task.num_epochs = config.train.num_train_epochs * (cross_fits ? method::kCostOfCrossFit : 1);
    task.num_steps = data::Sampler(task.num_rows, config.train.train_batch_size, micro,
                                   config.train.num_train_epochs, 0)
                         .num_updates();
    task.max_useful_ranks = experiment::max_useful_ranks(config);
    task.is_trained =
        !root.empty() && std::filesystem::exists(paths.path_of(paths.expert_file(index)));
    inputs.tasks.push_back(task);
    earlier.num_rows += negatives[task.name].num_rows;
    earlier.num_tokens += negatives[task.name].num_tokens;
  }
}

}  // namespace

int run_plan_command(const config::Command& command) {
  const config::Config config =
      config::load_config(command.config_file, command.overrides, config::Purpose::kPlan);
  experiment::Workspace workspace;
  experiment::open_text_parts(config, workspace);
  experiment::find_indicators(config.method, workspace);
  const data::RowEncoder encoder(*workspace.tokenizer, *workspace.prompt_template,
                                 workspace.indicators, config.data.cutoff_len);
  PlanInputs inputs;
  inputs.memory = memory_request(config);
  add_tasks(config, encoder, inputs);
  inputs.num_ranks = static_cast<int>(command.num_ranks);
  inputs.ranks_per_node = static_cast<int>(command.num_ranks_per_node.value_or(0));
  inputs.wishes = wishes_of(config);
  inputs.machine_bytes = device::memory_facts().usable_bytes;
  inputs.as_json = command.as_json;
  return run_plan(inputs, std::cout);
}

}  // namespace baton::app
