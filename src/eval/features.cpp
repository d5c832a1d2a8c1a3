#include "baton/eval/features.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

namespace baton::eval {

std::int64_t feature_layers(const model::Decoder& model) {
  return std::max<std::int64_t>(1, model.config().num_hidden_layers / 2);
}

std::vector<std::vector<float>> prompt_features(const model::Decoder& model,
                                                std::span<const Prompt> prompts,
                                                std::int64_t num_layers) {
  const c10::InferenceMode inference;
  const model::PackedRows rows = model::pack_rows(prompts, model.device());
  const at::Tensor hidden =
      model.hidden_after(model.embedder().embed(rows), rows, num_layers).to(at::kFloat);
  const at::Tensor scaled = hidden * at::rsqrt(hidden.square().mean(1, true) + 1e-12);
  std::vector<std::vector<float>> features;
  for (std::size_t row = 0; row + 1 < rows.offsets.size(); ++row) {
    const std::int64_t length = rows.offsets[row + 1] - rows.offsets[row];
    const at::Tensor mean =
        scaled.narrow(0, rows.offsets[row], length).mean(0).to(at::kCPU).contiguous();
    const float* values = mean.data_ptr<float>();
    features.emplace_back(values, values + mean.numel());
  }
  return features;
}

}  // namespace baton::eval
