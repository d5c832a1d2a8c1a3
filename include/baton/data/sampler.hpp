#pragma once
// The order of training: which rows form update s, and in which micro-batch slots. A function of
// the seed, the number of rows and the batch sizes alone, so it does not know how many ranks there
// are. Rows of a slot are packed one after another without padding.

#include <cstdint>
#include <vector>

namespace baton::data {

struct Update {
  std::vector<std::vector<std::int64_t>> slots;  // row indices; every slot but the last is full
};

/// The last one may have fewer rows than train_batch_size.
std::int64_t updates_per_epoch(std::int64_t num_rows, std::int64_t train_batch_size);

class Sampler {
 public:
  /// Rows are shuffled anew each epoch; the last update of an epoch may be smaller. num_epochs may
  /// be a fraction. Sizes below 1, or epochs that are not a positive number, are kUsage errors; no
  /// rows a kData one.
  Sampler(std::int64_t num_rows,
          std::int64_t train_batch_size,
          std::int64_t micro_batch_size,
          double num_epochs,
          std::uint64_t seed);

  /// The same, but rows of two kinds are mixed evenly: every update has of the marked ones the share
  /// they have of all, to the next row.
  Sampler with_even_shares(std::vector<bool> is_marked) const;

  /// ceil(num_epochs x updates per epoch).
  std::int64_t num_updates() const { return num_updates_; }
  /// step in [0, num_updates()). Any order of calls gives the same answer.
  Update update(std::int64_t step) const;

 private:
  std::vector<std::int64_t> order_of(std::int64_t epoch) const;

  std::int64_t num_rows_;
  std::int64_t train_batch_size_;
  std::int64_t micro_batch_size_;
  std::int64_t updates_per_epoch_;
  std::int64_t num_updates_;
  std::uint64_t seed_;
  std::vector<bool> is_marked_ = {};  // empty: rows of one kind
};

}  // namespace baton::data
