// `baton plan`: reads config and data, encodes what would be trained, and shows the plan. Loads no weights.

#include <algorithm>
#include <iostream>

#include "baton/app/commands.hpp"
#include "baton/base/error.hpp"
#include "baton/checkpoint/run_record.hpp"
#include "baton/data/dataset.hpp"
#include "baton/data/sampler.hpp"
#include "baton/device/cpu_facts.hpp"
#include "experiment.hpp"
#include "plan_command.hpp"

namespace baton::app {

namespace {

std::vector<TaskRows> rows_for_plan(const config::Config& config) {
  const data::Dataset dataset(config.data.dataset_dir);
  std::vector<TaskRows> tasks;
  for (const std::string& name : config.data.tasks) {
    TaskRows task;
    task.name = name;
    task.train = dataset
                     .read_task(name, {.max_train_samples = config.data.max_train_samples, .max_eval_samples = 1})
                     .train;
    task.buffer = data::make_buffer(name, *task.train, config.method.buffer_ratio, config.train.seed);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

coordinator::MemoryRequest memory_request(const config::Config& config) {
  const weights::LlamaConfig sizes = weights::read_llama_config(config.model.model_name_or_path);
  coordinator::MemoryRequest memory;
  memory.model = {sizes.vocab_size,          sizes.hidden_size, sizes.intermediate_size, sizes.num_hidden_layers,
                  sizes.num_attention_heads, sizes.num_key_value_heads, sizes.head_dim, sizes.num_parameters()};
  const bool bf16 = config.model.dtype == "bfloat16" || (config.model.dtype == "auto" && device::has_fast_bf16());
  memory.compute_bytes = bf16 ? 2 : 4;
  memory.weights_are_mapped = sizes.torch_dtype == (bf16 ? "bfloat16" : "float32");
  memory.lora_rank = static_cast<int>(config.lora.lora_rank);
  memory.lora_targets = config.lora.lora_target;
  memory.micro_batch_rows = config.train.micro_batch_size;
  memory.eval_rows = config.eval.eval_batch_size;
  memory.max_new_tokens = config.data.max_new_tokens;
  return memory;
}

}  // namespace

int run_plan_command(const config::Command& command) {
  const config::Config config =
      config::load_config(command.config_file, command.overrides, config::Purpose::kPlan);
  Workspace workspace;
  open_text_parts(config, workspace);
  const data::RowEncoder encoder(*workspace.tokenizer, *workspace.prompt_template, workspace.indicators,
                                 config.data.cutoff_len);
  const std::vector<TaskRows> tasks = rows_for_plan(config);
  const std::vector<data::Example> general = read_general_rows(config);

  PlanInputs inputs;
  inputs.memory = memory_request(config);
  const std::int64_t micro = config.train.micro_batch_size;
  const std::filesystem::path root = config.output.output_dir;
  for (std::size_t index = 0; index < tasks.size(); ++index) {
    const PreparedExpert expert = prepare_expert(config, encoder, tasks, index, general);
    PlanTask task;
    task.name = tasks[index].name;
    task.num_rows = static_cast<std::int64_t>(expert.training.size());
    task.tokens_per_epoch = static_cast<double>(expert.num_tokens());
    task.num_epochs = config.train.num_train_epochs;
    task.num_steps = data::Sampler(task.num_rows, config.train.train_batch_size, micro, config.train.num_train_epochs, 0)
                         .num_updates();
    task.max_useful_ranks = static_cast<int>((config.train.train_batch_size + micro - 1) / micro);
    task.is_trained = !root.empty() && std::filesystem::exists(
                                           root / "experts" / (checkpoint::task_file_stem(index, task.name) + ".h5"));
    inputs.tasks.push_back(task);
    for (const data::TrainingRow& row : expert.training) {
      inputs.memory.max_tokens_per_row =
          std::max(inputs.memory.max_tokens_per_row, static_cast<std::int64_t>(row.tokens.size()));
      inputs.memory.labels_per_row = std::max(inputs.memory.labels_per_row, row.num_target_tokens());
    }
  }
  inputs.num_ranks = static_cast<int>(command.num_ranks);
  inputs.ranks_per_node = static_cast<int>(command.num_ranks_per_node.value_or(0));
  const auto to_int = [](const std::optional<std::int64_t>& value) {
    return value ? std::optional<int>(static_cast<int>(*value)) : std::nullopt;
  };
  inputs.groups = to_int(config.cluster.groups);
  inputs.ranks_per_group = to_int(config.cluster.ranks_per_group);
  inputs.as_json = command.as_json;
  return run_plan(inputs, std::cout);
}

}  // namespace baton::app
