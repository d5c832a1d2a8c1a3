#include "baton/model/kv_cache.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "baton/base/error.hpp"
#include "cache_access.hpp"

namespace baton::model {

namespace {

std::int64_t longest(const std::vector<std::int64_t>& lengths) {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

// Room for one more position: doubling keeps the copies few when decoding runs past the spare room.
at::Tensor grown(const at::Tensor& tensor, std::int64_t capacity) {
  at::Tensor larger =
      at::zeros({tensor.size(0), tensor.size(1), capacity, tensor.size(3)}, tensor.options());
  larger.narrow(2, 0, tensor.size(2)).copy_(tensor);
  return larger;
}

}  // namespace

KvCache KvCache::select_rows(const std::vector<std::int64_t>& rows) const {
  KvCache selected(spare_);
  for (const std::int64_t row : rows) {
    selected.lengths_.push_back(lengths_[static_cast<std::size_t>(row)]);
  }
  const std::int64_t needed = longest(selected.lengths_);
  const std::int64_t capacity = needed + spare_;
  for (std::size_t layer = 0; layer < keys_.size(); ++layer) {
    const at::Tensor index = at::tensor(rows, at::kLong).to(keys_[layer].device());
    const std::int64_t held = std::min(capacity, keys_[layer].size(2));
    const auto take = [&](const at::Tensor& tensor) {
      at::Tensor part = tensor.narrow(2, 0, held).index_select(0, index);
      return held < capacity ? grown(part, capacity) : part;
    };
    selected.keys_.push_back(take(keys_[layer]));
    selected.values_.push_back(take(values_[layer]));
  }
  return selected;
}

void CacheAccess::start(KvCache& cache,
                        const std::vector<std::int64_t>& lengths,
                        std::size_t num_layers) {
  BATON_ASSERT(cache.lengths_.empty(), "a cache is filled once");
  cache.lengths_ = lengths;
  cache.keys_.resize(num_layers);
  cache.values_.resize(num_layers);
}

void CacheAccess::store(KvCache& cache,
                        std::int64_t layer,
                        const at::Tensor& keys,
                        const at::Tensor& values) {
  const auto num_rows = static_cast<std::int64_t>(cache.lengths_.size());
  const std::int64_t capacity = longest(cache.lengths_) + cache.spare_;
  // Zeros, not garbage: masked positions are multiplied by weight 0, and 0 x NaN would be NaN.
  at::Tensor all_keys = at::zeros({num_rows, keys.size(1), capacity, keys.size(2)}, keys.options());
  at::Tensor all_values = at::zeros_like(all_keys);
  std::int64_t begin = 0;
  for (std::int64_t row = 0; row < num_rows; ++row) {
    const std::int64_t length = cache.lengths_[static_cast<std::size_t>(row)];
    all_keys.select(0, row)
        .narrow(1, 0, length)
        .copy_(keys.narrow(0, begin, length).transpose(0, 1));
    all_values.select(0, row)
        .narrow(1, 0, length)
        .copy_(values.narrow(0, begin, length).transpose(0, 1));
    begin += length;
  }
  cache.keys_[static_cast<std::size_t>(layer)] = all_keys;
  cache.values_[static_cast<std::size_t>(layer)] = all_values;
}

void CacheAccess::append(KvCache& cache,
                         std::int64_t layer,
                         const at::Tensor& keys,
                         const at::Tensor& values) {
  at::Tensor& all_keys = cache.keys_[static_cast<std::size_t>(layer)];
  at::Tensor& all_values = cache.values_[static_cast<std::size_t>(layer)];
  if (longest(cache.lengths_) >= all_keys.size(2)) {
    const std::int64_t capacity = std::max<std::int64_t>(2 * all_keys.size(2), 16);
    all_keys = grown(all_keys, capacity);
    all_values = grown(all_values, capacity);
  }
  const at::TensorOptions on_device = all_keys.options().dtype(at::kLong);
  const c10::List<std::optional<at::Tensor>> places{
      at::arange(all_keys.size(0), on_device),
      at::tensor(cache.lengths_, at::kLong).to(all_keys.device())};
  all_keys.transpose(1, 2).index_put_(places, keys);  // [B, capacity, K, E] at (row, length)
  all_values.transpose(1, 2).index_put_(places, values);
}

void CacheAccess::advance(KvCache& cache) {
  for (std::int64_t& length : cache.lengths_) {
    ++length;
  }
}

}  // namespace baton::model
