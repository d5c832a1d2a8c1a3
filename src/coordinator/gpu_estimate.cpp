#include "baton/coordinator/gpu_estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::coordinator {

const std::vector<GpuModel>& known_gpus() {
  static const std::vector<GpuModel> kGpus = {
      {"a10", 24, 125},      {"a100-40", 40, 312},  {"a100-80", 80, 312}, {"b200", 180, 2250},
      {"h100", 80, 989},     {"h200", 141, 989},    {"l40s", 48, 362},    {"rtx-3090", 24, 71},
      {"rtx-4090", 24, 165}, {"rtx-5090", 32, 210},
  };
  return kGpus;
}

std::vector<GpuModel> gpus_named(const std::string& list) {
  if (list == "all") {
    return known_gpus();
  }
  std::vector<std::string> names;
  for (const GpuModel& gpu : known_gpus()) {
    names.push_back(gpu.name);
  }
  std::vector<GpuModel> gpus;
  for (const std::string& name : base::split_list(list)) {
    const auto place = std::find(names.begin(), names.end(), name);
    if (place == names.end()) {
      const std::optional<std::string> nearest = base::nearest_name(name, names);
      throw base::Error(base::ErrorKind::kUsage, "no GPU of this name is known",
                        {.where = "--gpu",
                         .expected = "all, or some of " + base::join(names, ", "),
                         .found = "'" + name + "'",
                         .fix = nearest ? "did you mean '" + *nearest + "'?" : ""});
    }
    gpus.push_back(known_gpus()[static_cast<std::size_t>(place - names.begin())]);
  }
  return gpus;
}

double flops_per_token(const MemoryRequest& request, double tokens_per_row) {
  const weights::DecoderConfig& model = request.model;
  double linears = 0;
  for (const auto& [out, in] : model.linear_shapes()) {
    linears += static_cast<double>(out) * static_cast<double>(in);
  }
  const auto layers = static_cast<double>(model.num_hidden_layers);
  const double adapters =
      static_cast<double>(lora_parameters(model, request.lora_rank, request.lora_targets));
  const double attention =
      6 * tokens_per_row * static_cast<double>(model.num_attention_heads * model.head_dim) * layers;
  const double head = 4 * static_cast<double>(model.vocab_size * model.hidden_size) *
                      std::min(1.0, static_cast<double>(request.labels_per_row) / tokens_per_row);
  return 4 * linears * layers + 6 * adapters + attention + head;
}

std::vector<GpuEstimate> estimate_gpus(const std::vector<GpuModel>& gpus,
                                       const GroupPlan& plan,
                                       const MemoryEstimate& memory,
                                       double flops_per_token) {
  constexpr double kSecondsPerHour = 3600;
  const auto needed = static_cast<double>(
      std::max(memory.training_bytes_per_rank, memory.evaluation_bytes_per_rank));
  std::size_t num_ranks = 0;
  for (const PlannedGroup& group : plan.groups) {
    num_ranks += group.ranks.size();
  }
  std::vector<GpuEstimate> estimates;
  for (const GpuModel& gpu : gpus) {
    const double hours =
        plan.makespan * flops_per_token / (gpu.peak_tflops * 1e12 * kPeakShare) / kSecondsPerHour;
    estimates.push_back(
        {gpu, hours, hours * static_cast<double>(num_ranks), needed <= gpu.memory_gb * 1e9});
  }
  return estimates;
}

std::string gpu_text(const std::vector<GpuEstimate>& estimates) {
  std::vector<std::vector<std::string>> rows;
  for (const GpuEstimate& estimate : estimates) {
    rows.push_back({estimate.gpu.name, fmt::format("{:.0f} GB", estimate.gpu.memory_gb),
                    estimate.fits ? "yes" : "no", fmt::format("{:.2f}", estimate.hours),
                    fmt::format("{:.2f}", estimate.gpu_hours)});
  }
  return base::format_table({"GPU", "memory", "a rank fits", "hours to train", "GPU hours"}, rows) +
         fmt::format(
             "an estimate, not measured: operations over {:.0f} % of the published dense "
             "bf16 peak, one GPU a rank\n",
             100 * kPeakShare);
}

base::OrderedJson gpu_json(const std::vector<GpuEstimate>& estimates) {
  base::OrderedJson json = base::OrderedJson::array();
  for (const GpuEstimate& estimate : estimates) {
    json.push_back({{"gpu", estimate.gpu.name},
                    {"memory_gb", estimate.gpu.memory_gb},
                    {"peak_tflops", estimate.gpu.peak_tflops},
                    {"assumed_share_of_peak", kPeakShare},
                    {"fits", estimate.fits},
                    {"hours", estimate.hours},
                    {"gpu_hours", estimate.gpu_hours}});
  }
  return json;
}

}  // namespace baton::coordinator
