#pragma once
// How much memory one rank needs, from the model's sizes and the config's numbers: a pure estimate
// shown by the plan command before anything is loaded. It leaves out the program itself and its
// libraries (stated as one fixed entry) and the allocator's waste.
//
// Letters: D width, F feed-forward width, H heads, K key/value heads, E head width, V vocabulary, R
// adapter rank, L layers, B rows of a micro-batch, T tokens of its longest row.

#include <cstdint>
#include <string>
#include <vector>

#include "baton/weights/decoder_config.hpp"

namespace baton::coordinator {

struct MemoryRequest {
  weights::DecoderConfig model;
  int compute_bytes = 4;            // of a weight and an activation: 4 (float32) or 2 (bfloat16)
  bool weights_are_mapped = false;  // used as stored: one copy for all ranks of a machine
  int ranks_on_node = 1;
  int lora_rank = 0;                      // R
  std::vector<std::string> lora_targets;  // q_proj k_proj v_proj o_proj gate_proj up_proj down_proj
  std::int64_t micro_batch_rows = 1;      // B
  std::int64_t max_tokens_per_row = 0;    // T
  std::int64_t labels_per_row = 0;        // positions of a row that have a label
  std::int64_t gradient_slots =
      1;                       // slot gradients gathered by a rank; 1 where they are summed at once
  std::int64_t row_bytes = 0;  // of the rows of the expert in hand
  std::int64_t eval_rows = 0;  // rows decoded at once
  std::int64_t max_new_tokens = 0;
};

struct MemoryEntry {
  std::string what;
  std::uint64_t bytes = 0;
  bool is_shared = false;  // one copy for all ranks of the machine
};

struct MemoryEstimate {
  std::vector<MemoryEntry> training;
  std::vector<MemoryEntry> evaluation;
  std::uint64_t training_bytes_per_rank = 0;  // shared entries in full
  std::uint64_t evaluation_bytes_per_rank = 0;
  std::uint64_t bytes_per_node = 0;  // the larger phase; shared entries counted once
};

/// Numbers of one adapter: sum over its targets and layers of R * (inputs + outputs). An unknown
/// target is a kUsage error.
std::uint64_t lora_parameters(const weights::DecoderConfig& model,
                              int lora_rank,
                              const std::vector<std::string>& targets);

/// kUsage for an unknown target; sizes must not be negative.
MemoryEstimate estimate_memory(const MemoryRequest& request);

/// How many ranks a machine with so much memory holds, through both phases; 0: not even one.
std::uint64_t ranks_that_fit(const MemoryEstimate& estimate, std::uint64_t machine_bytes);

/// Says by how much `ranks_on_node` ranks are too much for a machine, how many fit and what to do;
/// "" where they fit. Larger groups do not help: what one rank needs does not depend on them.
std::string memory_warning(const MemoryEstimate& estimate,
                           int ranks_on_node,
                           std::uint64_t machine_bytes);

/// Two tables, one a phase, and the sums.
std::string memory_text(const MemoryEstimate& estimate);

}  // namespace baton::coordinator
