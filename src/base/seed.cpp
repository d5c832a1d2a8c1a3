#include "baton/base/seed.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "baton/base/error.hpp"
#include "baton/base/sha256.hpp"

namespace baton::base {

std::uint64_t seed_for(std::uint64_t run_seed, std::initializer_list<std::string_view> path) {
  Sha256 hash;
  hash.add_field(std::to_string(run_seed));
  for (const std::string_view name : path) {
    hash.add_field(name);
  }
  return std::stoull(hash.hex().substr(0, 16), nullptr, 16);
}

std::uint64_t Random::below(std::uint64_t bound) {
  BATON_ASSERT(bound > 0, "bound 0");
  // Values from `limit` on would favour small remainders.
  const std::uint64_t limit = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
  std::uint64_t value = engine_();
  while (value > limit) {
    value = engine_();
  }
  return value % bound;
}

std::vector<std::size_t> Random::sample_indices(std::size_t size, std::size_t count) {
  BATON_ASSERT(count <= size, std::to_string(count) + " of " + std::to_string(size));
  std::vector<std::size_t> indices(size);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  shuffle(std::span<std::size_t>(indices));
  indices.resize(count);
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace baton::base
