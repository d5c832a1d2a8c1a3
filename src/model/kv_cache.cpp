#include "baton/model/kv_cache.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>

#include "baton/base/error.hpp"
#include "cache_access.hpp"

namespace baton::model {

namespace {

std::int64_t longest(const std::vector<std::int64_t>& lengths) {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

// A larger copy, the new positions 0.
at::Tensor grown(const at::Tensor& tensor, std::int64_t capacity) {
  at::Tensor larger =
      at::zeros({tensor.size(0), tensor.size(1), capacity, tensor.size(3)}, tensor.options());
  larger.narrow(2, 0, tensor.size(2)).copy_(tensor);
  return larger;
}

}  // namespace

KvCache::KvCache(std::span<const SharedPrompt> prompts, std::int64_t spare) : spare_(spare) {
  BATON_ASSERT(!prompts.empty(), "a cache of no prompts");
  for (const SharedPrompt& prompt : prompts) {
    lengths_.push_back(prompt->num_tokens());
  }
  const std::int64_t capacity = longest(lengths_) + spare_;
  // Zeros, not garbage: masked positions are multiplied by weight 0, and 0 x NaN would be NaN.
  const auto padded = [&](const auto& part_of) {
    const at::Tensor first = part_of(*prompts.front());
    at::Tensor all =
        at::zeros({num_rows(), first.size(0), capacity, first.size(2)}, first.options());
    for (std::int64_t row = 0; row < num_rows(); ++row) {
      const at::Tensor& part = part_of(*prompts[static_cast<std::size_t>(row)]);
      all.select(0, row).narrow(1, 0, part.size(1)).copy_(part);
    }
    return all;
  };
  for (std::int64_t layer = 0; layer < prompts.front()->num_layers(); ++layer) {
    keys_.push_back(
        padded([&](const PromptCache& prompt) -> const at::Tensor& { return prompt.keys(layer); }));
    values_.push_back(padded(
        [&](const PromptCache& prompt) -> const at::Tensor& { return prompt.values(layer); }));
  }
}

std::int64_t KvCache::room() const {
  return keys_.empty() ? spare_ : std::max<std::int64_t>(keys_[0].size(2) - longest(lengths_), 0);
}

// A row that leaves takes its length with it; the room for tokens to come stays what it was, so a
// selection never needs more positions than there are.
KvCache KvCache::select_rows(const std::vector<std::int64_t>& rows) const {
  KvCache selected;
  selected.spare_ = room();
  for (const std::int64_t row : rows) {
    selected.lengths_.push_back(lengths_[static_cast<std::size_t>(row)]);
  }
  const std::int64_t capacity = longest(selected.lengths_) + selected.spare_;
  for (std::size_t layer = 0; layer < keys_.size(); ++layer) {
    const at::Tensor index = at::tensor(rows, at::kLong).to(keys_[layer].device());
    selected.keys_.push_back(keys_[layer].narrow(2, 0, capacity).index_select(0, index));
    selected.values_.push_back(values_[layer].narrow(2, 0, capacity).index_select(0, index));
  }
  return selected;
}

void CacheAccess::append(KvCache& cache,
                         std::int64_t layer,
                         const at::Tensor& keys,
                         const at::Tensor& values) {
  at::Tensor& all_keys = cache.keys_[static_cast<std::size_t>(layer)];
  at::Tensor& all_values = cache.values_[static_cast<std::size_t>(layer)];
  // Doubling keeps the copies few when decoding runs past the spare room.
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
