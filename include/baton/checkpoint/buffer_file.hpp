#pragma once
// One rehearsal buffer <-> one HDF5 file, readable with h5dump and h5py. Attributes of the root
// hold the facts; the dataset "rows" is the rows as JSON lines in UTF-8 (one object a row: id,
// conversation as a list of role and content, references), "row_offsets" (num_rows + 1 integers)
// where each line begins. An example's `origin` is not stored: after loading it names the buffer
// file and row. The same buffer gives the same bytes.

#include <cstdint>
#include <filesystem>
#include <string>

#include "baton/data/rehearsal_buffer.hpp"

namespace baton::checkpoint {

inline constexpr std::int64_t kBufferFormatVersion = 1;

/// Temporary name, close, sync, rename. kStorage; text that is not UTF-8 is kData.
void save_buffer(const std::filesystem::path& path, const data::RehearsalBuffer& buffer);

/// kModel, naming file and item, for anything damaged, of a newer format, whose fingerprint does not
/// fit, or that is of another task than `task` (empty: any).
data::RehearsalBuffer load_buffer(const std::filesystem::path& path, const std::string& task = "");

}  // namespace baton::checkpoint
