#include "baton/coordinator/memory_estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::coordinator {
namespace {

constexpr std::uint64_t kProgramBytes = std::uint64_t{300}
                                        << 20;  // code, LibTorch, MPI and buffers of theirs
constexpr std::uint64_t kFloatBytes = 4;

std::uint64_t unsigned_of(std::int64_t value) {
  BATON_ASSERT(value >= 0, fmt::format("size {}", value));
  return static_cast<std::uint64_t>(value);
}

/// What autograd keeps of one token in one layer, in values: the two norms' inputs and outputs (4
/// D), q before and after RoPE and the attention's result (3 H E), k and v with k rotated (3 K E),
/// gate, up, silu(gate) and their product (4 F), and the adapters' inner values. Attention itself
/// keeps no score matrix.
std::uint64_t kept_values_per_token(const MemoryRequest& request) {
  const weights::DecoderConfig& model = request.model;
  const std::int64_t head_values =
      model.head_dim * (3 * model.num_attention_heads + 3 * model.num_key_value_heads);
  const auto adapter_values =
      static_cast<std::int64_t>(request.lora_targets.size()) * std::int64_t{request.lora_rank};
  return unsigned_of(4 * model.hidden_size + head_values + 4 * model.intermediate_size +
                     adapter_values);
}

std::uint64_t sum_of(const std::vector<MemoryEntry>& entries, bool shared_too) {
  std::uint64_t sum = 0;
  for (const MemoryEntry& entry : entries) {
    sum += entry.is_shared && !shared_too ? 0 : entry.bytes;
  }
  return sum;
}

std::uint64_t node_bytes(const std::vector<MemoryEntry>& entries, int num_ranks) {
  const std::uint64_t own = sum_of(entries, false);
  return own * unsigned_of(num_ranks) + (sum_of(entries, true) - own);
}

std::string phase_table(const std::string& title, const std::vector<MemoryEntry>& entries) {
  std::vector<std::vector<std::string>> rows;
  for (const MemoryEntry& entry : entries) {
    rows.push_back({entry.what + (entry.is_shared ? " (shared by the machine's ranks)" : ""),
                    base::format_bytes(entry.bytes)});
  }
  rows.push_back({"sum", base::format_bytes(sum_of(entries, true))});
  std::string text = base::format_table({title, "bytes"}, rows);
  return text.empty() || text.back() == '\n' ? text : text + "\n";
}

}  // namespace

std::uint64_t lora_parameters(const weights::DecoderConfig& model,
                              int lora_rank,
                              const std::vector<std::string>& targets) {
  const std::vector<std::string>& names = expert::lora_target_names();
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes = model.linear_shapes();
  std::int64_t sum = 0;
  for (const std::string& target : targets) {
    const auto place = std::find(names.begin(), names.end(), target);
    if (place == names.end()) {
      throw base::Error(base::ErrorKind::kUsage, "unknown LoRA target",
                        {.where = "lora.lora_target",
                         .expected = base::join(names, " "),
                         .found = "\"" + target + "\"",
                         .fix = "name linears of the model"});
    }
    const auto& [out, in] = shapes[static_cast<std::size_t>(place - names.begin())];
    sum += out + in;
  }
  return unsigned_of(sum * lora_rank * model.num_hidden_layers);
}

MemoryEstimate estimate_memory(const MemoryRequest& request) {
  const weights::DecoderConfig& model = request.model;
  const auto bytes_per_value = unsigned_of(request.compute_bytes);
  const std::uint64_t adapter =
      kFloatBytes * lora_parameters(model, request.lora_rank, request.lora_targets);
  const std::uint64_t rows = unsigned_of(request.micro_batch_rows);
  const std::uint64_t tokens = rows * unsigned_of(request.max_tokens_per_row);
  const MemoryEntry program{"program and libraries", kProgramBytes};
  const MemoryEntry weights{"base weights", bytes_per_value * unsigned_of(model.num_parameters()),
                            request.weights_are_mapped};

  MemoryEstimate estimate;
  estimate.training = {
      program,
      weights,
      {"rows of one expert", unsigned_of(request.row_bytes)},
      {"adapter", adapter},
      {"optimizer moments", 2 * adapter},
      {"gradients", adapter * (1 + unsigned_of(request.gradient_slots))},
      {"activations", bytes_per_value * tokens * unsigned_of(model.num_hidden_layers) *
                          kept_values_per_token(request)},
      // Logits, their log-softmax and their gradient, all in fp32, at labelled positions only.
      {"logits", 3 * kFloatBytes * rows * unsigned_of(request.labels_per_row) *
                     unsigned_of(model.vocab_size)}};

  const std::uint64_t eval_rows = unsigned_of(request.eval_rows);
  const std::uint64_t length = unsigned_of(request.max_tokens_per_row + request.max_new_tokens);
  const std::uint64_t per_token =
      2 * unsigned_of(model.num_hidden_layers * model.num_key_value_heads * model.head_dim) *
      bytes_per_value;
  estimate.evaluation = {
      program,
      weights,
      {"adapter", adapter},
      {"key/value cache", eval_rows * length * per_token},
      // One layer's values at a time: nothing is kept for a backward pass.
      {"activations", bytes_per_value * eval_rows * unsigned_of(request.max_tokens_per_row) *
                          kept_values_per_token(request)},
      {"logits", kFloatBytes * eval_rows * unsigned_of(model.vocab_size)}};

  estimate.training_bytes_per_rank = sum_of(estimate.training, true);
  estimate.evaluation_bytes_per_rank = sum_of(estimate.evaluation, true);
  estimate.bytes_per_node = std::max(node_bytes(estimate.training, request.ranks_on_node),
                                     node_bytes(estimate.evaluation, request.ranks_on_node));
  return estimate;
}

std::uint64_t ranks_that_fit(const MemoryEstimate& estimate, std::uint64_t machine_bytes) {
  const auto fit = [&](const std::vector<MemoryEntry>& entries) {
    const std::uint64_t own = sum_of(entries, false);
    const std::uint64_t shared = sum_of(entries, true) - own;
    return machine_bytes > shared ? (machine_bytes - shared) / own : 0;
  };
  return std::min(fit(estimate.training), fit(estimate.evaluation));
}

std::string memory_warning(const MemoryEstimate& estimate,
                           int ranks_on_node,
                           std::uint64_t machine_bytes) {
  const std::uint64_t fitting = ranks_that_fit(estimate, machine_bytes);
  if (fitting >= unsigned_of(ranks_on_node)) {
    return "";
  }
  const std::string machine = base::format_bytes(machine_bytes);
  if (fitting == 0) {
    return fmt::format(
        "not even one rank fits into {}: it needs {} to train and {} to evaluate; larger groups do "
        "not change that, a smaller dtype, micro_batch_size, cutoff_len or eval_batch_size does",
        machine, base::format_bytes(estimate.training_bytes_per_rank),
        base::format_bytes(estimate.evaluation_bytes_per_rank));
  }
  return fmt::format(
      "{} ranks of one machine need {}, {} fit into {}: start at most {} on one machine, or make "
      "dtype, micro_batch_size, cutoff_len or eval_batch_size smaller",
      ranks_on_node, base::format_bytes(estimate.bytes_per_node), fitting, machine, fitting);
}

std::string memory_text(const MemoryEstimate& estimate) {
  return phase_table("training, one rank", estimate.training) +
         phase_table("evaluation, one rank", estimate.evaluation) +
         fmt::format("one machine: {} (estimates)\n", base::format_bytes(estimate.bytes_per_node));
}

}  // namespace baton::coordinator
