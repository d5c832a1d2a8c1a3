#pragma once
// Which rows form a batch, and which rank computes it. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace baton::eval {

/// Indices sorted by (length, index) and cut into batches of `batch_size` rows; the last may be
/// smaller.
std::vector<std::vector<std::size_t>> batches_by_length(std::span<const std::int64_t> lengths,
                                                        std::int64_t batch_size);

/// The batches of `rank`, costliest first: each batch goes to the rank with the least cost so far,
/// costly ones first; ties by index and by rank.
std::vector<std::size_t> deal_batches(std::span<const std::int64_t> costs, int rank, int size);

}  // namespace baton::eval
