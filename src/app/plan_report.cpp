#include "plan_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/coordinator/group_plan.hpp"

namespace baton::app {
namespace {

constexpr std::size_t kMaxShownTasks = 40;

coordinator::PlanRequest request_of(const PlanInputs& inputs) {
  coordinator::PlanRequest request = inputs.wishes;
  for (const PlanTask& task : inputs.tasks) {
    if (!task.is_trained) {
      request.experts.push_back(
          {task.name, task.tokens_per_epoch * task.num_epochs, task.max_useful_ranks});
    }
  }
  const int per_node = inputs.ranks_per_node > 0 ? inputs.ranks_per_node : inputs.num_ranks;
  for (int rank = 0; rank < inputs.num_ranks; ++rank) {
    request.node_of_rank.push_back(rank / per_node);
  }
  return request;
}

std::string tasks_table(const std::vector<PlanTask>& tasks) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < tasks.size() && i < kMaxShownTasks; ++i) {
    const PlanTask& task = tasks[i];
    rows.push_back({task.name, std::to_string(task.num_rows),
                    fmt::format("{:.0f}", task.tokens_per_epoch), std::to_string(task.num_steps),
                    task.is_trained ? "trained already" : "to train"});
  }
  std::string text =
      base::format_table({"expert", "rows", "tokens an epoch", "steps", "state"}, rows);
  if (!text.empty() && text.back() != '\n') {
    text += '\n';
  }
  if (tasks.size() > kMaxShownTasks) {
    text += fmt::format("... and {} more experts\n", tasks.size() - kMaxShownTasks);
  }
  return text;
}

base::OrderedJson memory_json(const coordinator::MemoryEstimate& estimate,
                              std::uint64_t machine_bytes) {
  base::OrderedJson json{{"training_bytes_per_rank", estimate.training_bytes_per_rank},
                         {"evaluation_bytes_per_rank", estimate.evaluation_bytes_per_rank},
                         {"bytes_per_node", estimate.bytes_per_node}};
  if (machine_bytes > 0) {
    json["this_machine_bytes"] = machine_bytes;
    json["ranks_that_fit"] = coordinator::ranks_that_fit(estimate, machine_bytes);
  }
  return json;
}

base::OrderedJson whole_json(const PlanInputs& inputs,
                             const coordinator::GroupPlan& plan,
                             const coordinator::PlanRequest& request) {
  base::OrderedJson json = coordinator::plan_json(plan, request);
  json["tasks"] = base::OrderedJson::array();
  for (const PlanTask& task : inputs.tasks) {
    json["tasks"].push_back({{"name", task.name},
                             {"rows", task.num_rows},
                             {"tokens_per_epoch", task.tokens_per_epoch},
                             {"steps", task.num_steps},
                             {"trained", task.is_trained}});
  }
  return json;
}

// Over all rows that are trained on.
double mean_row_length(const std::vector<PlanTask>& tasks) {
  double tokens = 0;
  double rows = 0;
  for (const PlanTask& task : tasks) {
    tokens += task.tokens_per_epoch;
    rows += static_cast<double>(task.num_rows);
  }
  return rows > 0 ? tokens / rows : 1;
}

std::vector<coordinator::GpuEstimate> gpu_estimates(const PlanInputs& inputs,
                                                    const coordinator::GroupPlan& plan,
                                                    const coordinator::MemoryEstimate& memory) {
  return coordinator::estimate_gpus(
      inputs.gpus, plan, memory,
      coordinator::flops_per_token(inputs.memory, mean_row_length(inputs.tasks)));
}

}  // namespace

int run_plan(const PlanInputs& inputs, std::ostream& out) {
  if (inputs.num_ranks < 1 || inputs.ranks_per_node < 0) {
    throw base::Error(
        base::ErrorKind::kUsage, "a plan needs ranks",
        {.where = "--ranks, --ranks-per-node",
         .expected = "whole numbers from 1 on",
         .found = fmt::format("{} ranks, {} per node", inputs.num_ranks, inputs.ranks_per_node),
         .fix = "for example --ranks 8 --ranks-per-node 4"});
  }
  const coordinator::PlanRequest request = request_of(inputs);
  coordinator::GroupPlan plan = coordinator::make_group_plan(request);
  coordinator::MemoryRequest memory = inputs.memory;
  memory.ranks_on_node = inputs.ranks_per_node > 0
                             ? std::min(inputs.ranks_per_node, inputs.num_ranks)
                             : inputs.num_ranks;
  const coordinator::MemoryEstimate estimate = coordinator::estimate_memory(memory);
  if (inputs.machine_bytes > 0) {
    const std::string warning =
        coordinator::memory_warning(estimate, memory.ranks_on_node, inputs.machine_bytes);
    if (!warning.empty()) {
      plan.warnings.push_back("with as much memory as this machine has, " + warning);
    }
  }
  if (inputs.as_json) {
    base::OrderedJson json = whole_json(inputs, plan, request);
    json["memory"] = memory_json(estimate, inputs.machine_bytes);
    if (!inputs.gpus.empty()) {
      json["gpus"] = coordinator::gpu_json(gpu_estimates(inputs, plan, estimate));
    }
    out << json.dump(2) << "\n";
    return 0;
  }
  out << tasks_table(inputs.tasks) << "\n"
      << coordinator::plan_text(plan, request) << "\n"
      << coordinator::memory_text(estimate);
  if (!inputs.gpus.empty()) {
    out << "\n" << coordinator::gpu_text(gpu_estimates(inputs, plan, estimate));
  }
  return 0;
}

}  // namespace baton::app
