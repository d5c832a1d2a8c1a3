#include "baton/model/adapter_use.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "baton/base/error.hpp"
#include "baton/model/packed_rows.hpp"

namespace baton::model {

bool AdapterUse::acts_at(std::int64_t layer) const {
  return layers.empty() || std::binary_search(layers.begin(), layers.end(), layer);
}

at::Tensor tokens_from(std::span<const std::int64_t> offsets,
                       std::span<const std::int64_t> first,
                       const at::Device& device) {
  BATON_ASSERT(offsets.size() == first.size() + 1,
               fmt::format("{} borders, {} first positions", offsets.size(), first.size()));
  std::vector<std::int64_t> tokens;
  for (std::size_t row = 0; row < first.size(); ++row) {
    for (std::int64_t token = offsets[row] + first[row]; token < offsets[row + 1]; ++token) {
      tokens.push_back(token);
    }
  }
  return on_device(at::tensor(tokens, at::kLong), device);
}

at::Tensor tokens_of_rows(std::span<const std::int64_t> offsets,
                          std::span<const std::int64_t> rows,
                          const at::Device& device) {
  std::vector<std::int64_t> tokens;
  for (const std::int64_t row : rows) {
    const auto index = static_cast<std::size_t>(row);
    BATON_ASSERT(index + 1 < offsets.size(), fmt::format("row {} of {}", row, offsets.size() - 1));
    for (std::int64_t token = offsets[index]; token < offsets[index + 1]; ++token) {
      tokens.push_back(token);
    }
  }
  return on_device(at::tensor(tokens, at::kLong), device);
}

}  // namespace baton::model
