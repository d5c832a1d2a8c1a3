#pragma once
// How long a plan's training would take on GPUs known by name, and whether a rank fits: floating
// point operations over a share of the peak that their makers publish. An estimate and no
// measurement.
//
// Operations of a training token (multiply and add counted as two): the frozen linears are run
// forward and backward to their inputs but get no gradients of their own, 4 x weights; adapters get
// them, 6 x weights; attention over half of the row on average, 6 x T x H x E a layer; the head at
// labelled positions, 4 x V x D.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/base/json.hpp"
#include "baton/coordinator/group_plan.hpp"
#include "baton/coordinator/memory_estimate.hpp"

namespace baton::coordinator {

struct GpuModel {
  std::string name;
  double memory_gb = 0;    // 10^9 bytes, of the data sheet
  double peak_tflops = 0;  // dense bf16 with fp32 sums, of the data sheet
};

/// Of the published peak; what LoRA on one GPU commonly reaches.
inline constexpr double kPeakShare = 0.35;

const std::vector<GpuModel>& known_gpus();

/// The GPUs of a comma-separated list, or every one for "all". An unknown name: kUsage with the
/// known ones.
std::vector<GpuModel> gpus_named(const std::string& list);

/// Operations to train on one token, averaged over rows of `tokens_per_row` tokens.
double flops_per_token(const MemoryRequest& request, double tokens_per_row);

struct GpuEstimate {
  GpuModel gpu;
  double hours = 0;      // until the plan's last group is done, one GPU a rank
  double gpu_hours = 0;  // of all ranks of all groups
  bool fits = false;     // what one rank needs, through training and evaluation
};

std::vector<GpuEstimate> estimate_gpus(const std::vector<GpuModel>& gpus,
                                       const GroupPlan& plan,
                                       const MemoryEstimate& memory,
                                       double flops_per_token);

std::string gpu_text(const std::vector<GpuEstimate>& estimates);
base::OrderedJson gpu_json(const std::vector<GpuEstimate>& estimates);

}  // namespace baton::coordinator
