#pragma once
// What expert and buffer files have in common: kind, format version, and the way to disk.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "baton/base/json.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::checkpoint {

inline constexpr const char* kExpertKind = "expert";
inline constexpr const char* kTrainingStateKind = "training_state";
inline constexpr const char* kBufferKind = "rehearsal_buffer";

/// Creates the file's folder if need be, lets `fill` write, and puts the file in place of an older
/// one in one step.
void publish_h5(const std::filesystem::path& path, const std::function<void(H5File&)>& fill);

/// kModel unless the file says it is of this kind and of a format this program knows (1 .. newest).
std::int64_t check_kind(const H5File& file, const std::string& kind, std::int64_t newest);

/// kModel: the file's content does not have the SHA-256 it says.
void check_digest(const H5File& file, const std::string& attribute, const std::string& computed);

/// The attributes "fingerprint" and "identity", a JSON object.
void write_identity(H5File& file, const expert::Identity& identity);
/// kModel when the identity is no such object or does not give the fingerprint.
expert::Identity read_identity(const H5File& file);
/// From a JSON object of texts; `where` is what an error names.
expert::Identity identity_from_json(const base::Json& json,
                                    const std::filesystem::path& path,
                                    const std::string& where);

/// kModel: `item` of the file is not as expected.
[[noreturn]] void refuse_content(const std::filesystem::path& path,
                                 const std::string& item,
                                 const std::string& expected,
                                 const std::string& found);

}  // namespace baton::checkpoint
