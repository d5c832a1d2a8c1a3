#pragma once
// Which rows form a batch. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace baton::eval {

/// Indices sorted by (length, index) and cut into batches of `batch_size` rows; the last may be
/// smaller.
std::vector<std::vector<std::size_t>> batches_by_length(std::span<const std::int64_t> lengths,
                                                        std::int64_t batch_size);

}  // namespace baton::eval
