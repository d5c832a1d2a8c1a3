#pragma once
// One expert <-> one HDF5 file, readable with h5dump and h5py. The root's attributes hold all facts
// (fixed-length UTF-8 texts, 64-bit numbers; "identity" is a JSON object, "roc" is threshold, true
// and false positive rate of one point after the other), the group "adapter" one fp32 dataset per
// array under PEFT's key, in the order of ExpertState::arrays. The same state gives the same bytes.
// Beside Fletcher32 and HDF5's own checksums, "facts_sha256" covers the facts and "content_sha256"
// facts and arrays; both are checked on reading.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"

namespace baton::checkpoint {

/// Version 1 noted the template's name and the tokenizer's file only, not what they make of a
/// prompt: it is refused.
inline constexpr std::int64_t kExpertFormatVersion = 2;

/// Temporary name, close, sync, rename: `path` is the old file or the whole new one. kStorage.
void save_expert(const std::filesystem::path& path, const expert::ExpertState& state);

/// kModel, naming file and item, for anything damaged, of a newer format, or whose fingerprint does
/// not fit its identity. Whether the expert is the wanted one is the caller's question
/// (expert::describe_differences).
expert::ExpertState load_expert(const std::filesystem::path& path);

struct ExpertFacts {
  expert::ExpertState state;  // without arrays
  std::int64_t format_version = 0;
  std::string fingerprint;
  std::string content_sha256;
  std::vector<std::string> array_names;
  std::vector<std::vector<std::int64_t>> array_shapes;
  std::int64_t num_values = 0;  // of all arrays
};

/// The facts alone (checked as load_expert does), without reading the arrays.
ExpertFacts read_expert_facts(const std::filesystem::path& path);

}  // namespace baton::checkpoint
