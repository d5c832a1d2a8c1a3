#include "baton/data/sampler.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::data {
namespace {

std::vector<std::int64_t> rows_of(const Update& update) {
  std::vector<std::int64_t> rows;
  for (const std::vector<std::int64_t>& slot : update.slots) {
    rows.insert(rows.end(), slot.begin(), slot.end());
  }
  return rows;
}

std::vector<std::int64_t> rows_of_epoch(const Sampler& sampler,
                                        std::int64_t first,
                                        std::int64_t num_updates) {
  std::vector<std::int64_t> rows;
  for (std::int64_t step = first; step < first + num_updates; ++step) {
    const std::vector<std::int64_t> part = rows_of(sampler.update(step));
    rows.insert(rows.end(), part.begin(), part.end());
  }
  return rows;
}

TEST(Sampler, EveryEpochCoversEveryRowOnceInANewOrder) {
  for (const std::int64_t num_rows : {1, 7, 8, 9, 100}) {
    const Sampler sampler(num_rows, 8, 3, 3, 42);
    const std::int64_t updates_per_epoch = (num_rows + 7) / 8;
    ASSERT_EQ(sampler.num_updates(), 3 * updates_per_epoch);
    std::vector<std::int64_t> all(static_cast<std::size_t>(num_rows));
    std::iota(all.begin(), all.end(), 0);
    std::vector<std::vector<std::int64_t>> epochs;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      epochs.push_back(rows_of_epoch(sampler, epoch * updates_per_epoch, updates_per_epoch));
      EXPECT_THAT(epochs.back(), testing::UnorderedElementsAreArray(all));
    }
    if (num_rows >= 100) {
      EXPECT_NE(epochs[0], epochs[1]);
      EXPECT_NE(epochs[1], epochs[2]);
      EXPECT_NE(epochs[0], all);
    }
  }
}

TEST(Sampler, SlotsAreFullButTheLast) {
  const Sampler sampler(21, 8, 3, 1, 1);
  const auto sizes = [&](std::int64_t step) {
    std::vector<std::size_t> result;
    for (const auto& slot : sampler.update(step).slots) {
      result.push_back(slot.size());
    }
    return result;
  };
  EXPECT_THAT(sizes(0), testing::ElementsAre(3, 3, 2));
  EXPECT_THAT(sizes(1), testing::ElementsAre(3, 3, 2));
  EXPECT_THAT(sizes(2), testing::ElementsAre(3, 2));  // 21 = 8 + 8 + 5
  EXPECT_EQ(Sampler(4, 8, 16, 1, 1).update(0).slots.size(), 1U);
}

TEST(Sampler, SlotSizeDoesNotChangeTheRowsOfAnUpdate) {
  const Sampler small(50, 8, 1, 2, 9);
  const Sampler large(50, 8, 8, 2, 9);
  for (std::int64_t step = 0; step < small.num_updates(); ++step) {
    EXPECT_EQ(rows_of(small.update(step)), rows_of(large.update(step)));
  }
}

TEST(Sampler, OrderOfCallsDoesNotMatter) {
  const Sampler forward(50, 8, 4, 3, 9);
  const Sampler backward(50, 8, 4, 3, 9);
  std::vector<Update> last_first(static_cast<std::size_t>(backward.num_updates()));
  for (std::int64_t step = backward.num_updates() - 1; step >= 0; --step) {
    last_first[static_cast<std::size_t>(step)] = backward.update(step);
  }
  for (std::int64_t step = 0; step < forward.num_updates(); ++step) {
    EXPECT_EQ(forward.update(step).slots, last_first[static_cast<std::size_t>(step)].slots);
    EXPECT_EQ(forward.update(step).slots, forward.update(step).slots);
  }
}

TEST(Sampler, SeedChangesTheOrder) {
  EXPECT_NE(Sampler(100, 100, 100, 1, 1).update(0).slots,
            Sampler(100, 100, 100, 1, 2).update(0).slots);
}

TEST(Sampler, EpochsMayBeAFraction) {
  EXPECT_EQ(Sampler(100, 10, 10, 0.1, 1).num_updates(), 1);
  EXPECT_EQ(Sampler(100, 10, 10, 0.3, 1).num_updates(), 3);
  EXPECT_EQ(Sampler(100, 10, 10, 0.25, 1).num_updates(), 3);
  EXPECT_EQ(Sampler(100, 10, 10, 1.5, 1).num_updates(), 15);
  EXPECT_EQ(Sampler(100, 10, 10, 1e-6, 1).num_updates(), 1);
  // A longer run begins with the same updates.
  EXPECT_EQ(Sampler(100, 10, 10, 1.5, 1).update(14).slots,
            Sampler(100, 10, 10, 3, 1).update(14).slots);
}

TEST(Sampler, RefusesNonsense) {
  EXPECT_THROW(Sampler(0, 8, 4, 1, 1), base::Error);
  EXPECT_THROW(Sampler(10, 0, 4, 1, 1), base::Error);
  EXPECT_THROW(Sampler(10, 8, 0, 1, 1), base::Error);
  EXPECT_THROW(Sampler(10, 8, 4, 0, 1), base::Error);
  EXPECT_THROW(Sampler(10, 8, 4, 0.0 / 0.0, 1), base::Error);
  EXPECT_THROW(Sampler(10, 8, 4, 1, 1).update(2), base::Error);
  EXPECT_THROW(Sampler(10, 8, 4, 1, 1).update(-1), base::Error);
}

// Shares by hand: 10 of 40 rows are marked, so 2 of every 8; an odd share is met to the next row.
TEST(Sampler, EvenSharesInEveryUpdate) {
  const auto count_marked = [](const Update& update, const std::vector<bool>& marks) {
    const std::vector<std::int64_t> rows = rows_of(update);
    return std::count_if(rows.begin(), rows.end(),
                         [&](std::int64_t row) { return marks[static_cast<std::size_t>(row)]; });
  };
  const std::vector<std::pair<std::int64_t, std::int64_t>> cases{{40, 10}, {37, 5}, {100, 33},
                                                                 {9, 0},   {9, 9},  {16, 1}};
  for (const auto& [num_rows, num_marked] : cases) {
    std::vector<bool> marks(static_cast<std::size_t>(num_rows));
    std::fill(marks.begin(), marks.begin() + num_marked, true);
    const Sampler plain(num_rows, 8, 3, 2, 42);
    const Sampler sampler = plain.with_even_shares(marks);
    ASSERT_EQ(sampler.num_updates(), plain.num_updates());
    const std::int64_t updates = sampler.num_updates() / 2;
    std::vector<std::int64_t> all(static_cast<std::size_t>(num_rows));
    std::iota(all.begin(), all.end(), 0);
    const std::vector<std::int64_t> epoch = rows_of_epoch(sampler, updates, updates);
    EXPECT_THAT(epoch, testing::UnorderedElementsAreArray(all));
    EXPECT_EQ(sampler.update(updates).slots, sampler.update(updates).slots);
    for (std::int64_t step = 0; step < sampler.num_updates(); ++step) {
      const Update update = sampler.update(step);
      const double share = static_cast<double>(num_marked) / static_cast<double>(num_rows) *
                           static_cast<double>(rows_of(update).size());
      EXPECT_LT(std::abs(static_cast<double>(count_marked(update, marks)) - share), 1.0 + 1e-9)
          << num_rows << " step " << step;
      if (num_rows == 40) {
        EXPECT_EQ(count_marked(update, marks), 2);
      }
    }
  }
  std::vector<bool> marks(40);
  std::fill(marks.begin(), marks.begin() + 10, true);
  const Sampler sampler = Sampler(40, 8, 3, 2, 42).with_even_shares(marks);
  EXPECT_NE(sampler.update(0).slots, sampler.update(5).slots);  // a new order in each epoch
}

}  // namespace
}  // namespace baton::data
