#pragma once
// One expert <-> one HDF5 file, readable with h5dump and h5py. The root's attributes hold all facts
// (fixed-length UTF-8 texts, 64-bit numbers; "identity" is a JSON object, "roc" is threshold, true
// and false positive rate of one point after the other), the group "adapter" one fp32 dataset per
// array under PEFT's key, in the order of ExpertState::arrays. The same state gives the same bytes.
// Beside Fletcher32 and HDF5's own checksums, "facts_sha256" covers the facts and "content_sha256"
// facts and arrays; both are checked on reading.

#include <cstdint>
#include <filesystem>

#include "baton/expert/check.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::checkpoint {

/// Version 1 noted the template's name and the tokenizer's file only, not what they make of a
/// prompt: it is refused.
inline constexpr std::int64_t kExpertFormatVersion = 2;

/// Temporary name, close, sync, rename: `path` is the old file or the whole new one. kStorage.
void save_expert(const std::filesystem::path& path, const expert::ExpertState& state);

/// kModel, naming file and item, for anything damaged, of a newer format, whose fingerprint does not
/// fit its identity, or that cannot be used (expert::check_expert, which is given `expected`).
/// Whether the expert is the wanted one is the caller's question (expert::describe_differences).
expert::ExpertState load_expert(const std::filesystem::path& path,
                                const expert::Expected& expected = {});

}  // namespace baton::checkpoint
