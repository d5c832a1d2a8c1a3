#pragma once
// Named seeds. Every source of chance is a generator made from the run's seed and the names of what
// it is for, so that no result depends on the order in which generators are used. The distributions
// are our own arithmetic over std::mt19937_64: the standard leaves those of <random> to each
// library.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace baton::base {

/// A 64-bit seed from the run's seed and a path of names, e.g. seed_for(42, {"expert", "qa",
/// "lora_init"}). The first eight bytes of a SHA-256, so that equal paths and only equal paths
/// share a stream.
std::uint64_t seed_for(std::uint64_t run_seed, std::initializer_list<std::string_view> path);

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t bits() { return engine_(); }
  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, bound), unbiased; bound > 0.
  std::uint64_t below(std::uint64_t bound);

  /// Fisher-Yates from the last element down.
  template <typename T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(i))]);
    }
  }

  /// `count` distinct indices out of [0, size), in ascending order; count <= size.
  std::vector<std::size_t> sample_indices(std::size_t size, std::size_t count);

 private:
  std::mt19937_64 engine_;
};

}  // namespace baton::base
