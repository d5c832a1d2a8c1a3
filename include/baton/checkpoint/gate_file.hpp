#pragma once
// The gates of an expert <-> one HDF5 file: facts as root attributes, one fp32 dataset a linear in
// group "gates" under the expert's names, "content_sha256" over all of it. The same gates give the
// same bytes.

#include <cstdint>
#include <filesystem>

#include "baton/expert/gate_state.hpp"

namespace baton::checkpoint {

inline constexpr std::int64_t kGateFormatVersion = 1;

/// Temporary name, close, sync, rename. kStorage.
void save_gates(const std::filesystem::path& path, const expert::GateState& state);
/// kModel for anything damaged, of a newer format, that is not finite or no gates. Whether they fit
/// an expert is not known here.
expert::GateState load_gates(const std::filesystem::path& path);

}  // namespace baton::checkpoint
