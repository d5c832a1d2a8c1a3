#include "baton/data/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::data {

namespace {

void check_positive(double value, const std::string& key) {
  // 1e9: beyond it updates could not be counted in a 64-bit number.
  if (!(value > 0 && value <= 1e9)) {
    throw base::Error(base::ErrorKind::kUsage, "a training size is out of range",
                      {.where = "config key train." + key,
                       .expected = "a number above 0, at most 1e9",
                       .found = fmt::format("{}", value),
                       .fix = "set it to a positive number"});
  }
}

}  // namespace

std::int64_t updates_per_epoch(std::int64_t num_rows, std::int64_t train_batch_size) {
  return (num_rows + train_batch_size - 1) / train_batch_size;
}

Sampler::Sampler(std::int64_t num_rows,
                 std::int64_t train_batch_size,
                 std::int64_t micro_batch_size,
                 double num_epochs,
                 std::uint64_t seed)
    : num_rows_(num_rows),
      train_batch_size_(train_batch_size),
      micro_batch_size_(micro_batch_size),
      updates_per_epoch_(0),
      num_updates_(0),
      seed_(seed) {
  check_positive(static_cast<double>(train_batch_size), "train_batch_size");
  check_positive(static_cast<double>(micro_batch_size), "micro_batch_size");
  check_positive(num_epochs, "num_train_epochs");
  if (num_rows < 1) {
    throw base::Error(base::ErrorKind::kData, "there are no rows to train on",
                      {.where = "",
                       .expected = "at least one row",
                       .found = "none",
                       .fix = "check the task's files and data.max_train_samples"});
  }
  updates_per_epoch_ = updates_per_epoch(num_rows, train_batch_size);
  // 0.1 x 10 must be one update, though it is a hair more than 1 in binary for some fractions.
  const double exact = num_epochs * static_cast<double>(updates_per_epoch_);
  num_updates_ =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(exact * (1 - 1e-12))));
}

Sampler Sampler::with_even_shares(std::vector<bool> is_marked) const {
  BATON_ASSERT(std::ssize(is_marked) == num_rows_, "marks of other rows");
  Sampler sampler = *this;
  sampler.is_marked_ = std::move(is_marked);
  return sampler;
}

std::vector<std::int64_t> Sampler::order_of(std::int64_t epoch) const {
  std::vector<std::int64_t> order(static_cast<std::size_t>(num_rows_));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  base::Random(base::seed_for(seed_, {"epoch", std::to_string(epoch)}))
      .shuffle(std::span<std::int64_t>(order));
  if (is_marked_.empty()) {
    return order;
  }
  const auto is_marked = [this](std::int64_t row) {
    return is_marked_[static_cast<std::size_t>(row)];
  };
  // Each kind keeps its shuffled order; the k-th marked row stands where k / num_marked of all are
  // passed.
  const auto middle = std::stable_partition(order.begin(), order.end(), is_marked);
  const std::int64_t num_marked = middle - order.begin();
  auto marked = order.begin();
  auto unmarked = middle;
  std::vector<std::int64_t> mixed;
  for (std::int64_t i = 0; i < num_rows_; ++i) {
    const bool is_due = (i + 1) * num_marked / num_rows_ > i * num_marked / num_rows_;
    mixed.push_back(is_due ? *marked++ : *unmarked++);
  }
  return mixed;
}

Update Sampler::update(std::int64_t step) const {
  BATON_ASSERT(step >= 0 && step < num_updates_, fmt::format("step {} of {}", step, num_updates_));
  const std::vector<std::int64_t> order = order_of(step / updates_per_epoch_);
  const std::int64_t begin = step % updates_per_epoch_ * train_batch_size_;
  const std::int64_t end = std::min(begin + train_batch_size_, num_rows_);
  Update update;
  for (std::int64_t slot = begin; slot < end; slot += micro_batch_size_) {
    const std::int64_t slot_end = std::min(slot + micro_batch_size_, end);
    update.slots.emplace_back(order.begin() + slot, order.begin() + slot_end);
  }
  return update;
}

}  // namespace baton::data
