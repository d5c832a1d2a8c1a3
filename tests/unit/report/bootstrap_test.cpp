#include "baton/report/bootstrap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "baton/base/seed.hpp"

namespace baton::report {
namespace {

TEST(Bootstrap, StatisticIsTheSumOfTasksMeans) {
  EXPECT_DOUBLE_EQ(statistic({{1, 3}, {10}}), 12);
}

TEST(Bootstrap, QuantilesLieBetweenNeighbours) {
  EXPECT_DOUBLE_EQ(quantile({1, 2, 3, 4, 5}, 0.5), 3);
  EXPECT_DOUBLE_EQ(quantile({0, 10}, 0.025), 0.25);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.975), 7);
}

TEST(Bootstrap, EqualQueriesLeaveNothingOpen) {
  const Interval found = bootstrap({{2, 2, 2}, {5, 5}}, 1);
  EXPECT_DOUBLE_EQ(found.low, 7);
  EXPECT_DOUBLE_EQ(found.value, 7);
  EXPECT_DOUBLE_EQ(found.high, 7);
}

// Two queries with 0 and 1: the mean of a resample is 0, 0.5 or 1 with 1/4, 1/2, 1/4.
TEST(Bootstrap, TwoQueriesByHand) {
  const Interval found = bootstrap({{0, 1}}, 1);
  EXPECT_DOUBLE_EQ(found.low, 0);
  EXPECT_DOUBLE_EQ(found.value, 0.5);
  EXPECT_DOUBLE_EQ(found.high, 1);
}

// The mean of n queries is about normal: value +- 1.96 standard errors, of the spread within tasks.
TEST(Bootstrap, ManyQueriesAgreeWithTheNormalLaw) {
  base::Random random(5);
  Contributions values(2);
  double variance = 0;
  for (std::vector<double>& task : values) {
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < 400; ++i) {
      task.push_back(random.uniform() * (&task == values.data() ? 1 : 3));
      sum += task.back();
      squares += task.back() * task.back();
    }
    variance += (squares / 400 - (sum / 400) * (sum / 400)) / 400;
  }
  const Interval found = bootstrap(values, 3, 4000);
  EXPECT_NEAR(found.low, found.value - 1.96 * std::sqrt(variance), 0.006);
  EXPECT_NEAR(found.high, found.value + 1.96 * std::sqrt(variance), 0.006);
}

TEST(Bootstrap, TheSeedDecides) {
  const Contributions values = {{1, 5, 2, 8, 3}};
  EXPECT_EQ(bootstrap(values, 1, 50).low, bootstrap(values, 1, 50).low);
  EXPECT_NE(bootstrap(values, 1, 50).low + bootstrap(values, 1, 50).high,
            bootstrap(values, 2, 50).low + bootstrap(values, 2, 50).high);
}

TEST(Bootstrap, PairsTakeAwayWhatIsCommon) {
  const Contributions a = {{10, 90}, {50}};
  const Contributions b = {{8, 88}, {49}};
  const Interval found = bootstrap(difference(a, b), 1);
  EXPECT_DOUBLE_EQ(found.low, 3);
  EXPECT_DOUBLE_EQ(found.high, 3);
}

}  // namespace
}  // namespace baton::report
