#pragma once
// A task's sums for the analytic router <-> one HDF5 file: facts as root attributes, datasets "sum"
// [M] and "gram" [M, M] in fp32, "content_sha256" over all of it. The same sums give the same bytes.

#include <cstdint>
#include <filesystem>

#include "baton/expert/feature_statistics.hpp"

namespace baton::checkpoint {

inline constexpr std::int64_t kStatisticsFormatVersion = 1;

/// Temporary name, close, sync, rename. kStorage.
void save_statistics(const std::filesystem::path& path,
                     const expert::FeatureStatistics& statistics);
/// kModel for anything damaged, of a newer format, or that is no such sums.
expert::FeatureStatistics load_statistics(const std::filesystem::path& path);

}  // namespace baton::checkpoint
