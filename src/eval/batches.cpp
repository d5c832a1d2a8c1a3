#include "batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "baton/base/error.hpp"

namespace baton::eval {

std::vector<std::vector<std::size_t>> batches_by_length(std::span<const std::int64_t> lengths,
                                                        std::int64_t batch_size) {
  BATON_ASSERT(batch_size > 0, fmt::format("batch size {}", batch_size));
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t x, std::size_t y) { return lengths[x] < lengths[y]; });
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i % static_cast<std::size_t>(batch_size) == 0) {
      batches.emplace_back();
    }
    batches.back().push_back(order[i]);
  }
  return batches;
}

}  // namespace baton::eval
