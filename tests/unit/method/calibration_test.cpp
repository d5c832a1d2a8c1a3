#include "baton/method/calibration.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"

namespace baton::method {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

double balanced_accuracy(const std::vector<double>& own,
                         const std::vector<double>& foreign,
                         double threshold) {
  double accepted = 0;
  double passed = 0;
  for (const double margin : own) {
    accepted += margin > threshold ? 1 : 0;
  }
  for (const double margin : foreign) {
    passed += margin > threshold ? 0 : 1;
  }
  return (accepted / static_cast<double>(own.size()) +
          passed / static_cast<double>(foreign.size())) /
         2;
}

TEST(Calibration, SeparableMarginsMeetInTheMiddleOfTheGap) {
  const Calibration result = calibrate(std::vector<double>{3, 5, 9}, std::vector<double>{-4, 1});
  EXPECT_EQ(result.threshold, 2);
  EXPECT_EQ(result.balanced_accuracy, 1);
}

TEST(Calibration, OverlapByHand) {
  // Sorted: F0 O1 F2 F3 O4 O5. Above 3.5: own 2/3 accepted, foreign 3/3 passed: (2/3 + 1)/2 = 5/6.
  // Above 0.5: 1 and 1/3: 2/3. Nothing else reaches 5/6.
  const Calibration result = calibrate(std::vector<double>{1, 4, 5}, std::vector<double>{0, 2, 3});
  EXPECT_EQ(result.threshold, 3.5);
  EXPECT_DOUBLE_EQ(result.balanced_accuracy, 5.0 / 6);
}

TEST(Calibration, TieGoesToTheWidestGap) {
  // Sorted: F-10 O-9 F0 O6. Gaps (-10,-9) and (0,6) both give 3/4.
  const Calibration result = calibrate(std::vector<double>{-9, 6}, std::vector<double>{-10, 0});
  EXPECT_EQ(result.threshold, 3);
  EXPECT_EQ(result.balanced_accuracy, 0.75);
}

TEST(Calibration, EqualGapsGoToTheOneNearestZero) {
  // Sorted: F-8 O-6 F0 O2: gaps of width 2 at -7 and 1, both 3/4.
  EXPECT_EQ(calibrate(std::vector<double>{-6, 2}, std::vector<double>{-8, 0}).threshold, 1);
  // Mirrored: F-2 O0 F6 O8, at -1 and 7.
  EXPECT_EQ(calibrate(std::vector<double>{0, 8}, std::vector<double>{-2, 6}).threshold, -1);
}

TEST(Calibration, EndsWinOnlyWhereNothingBetweenIsAsGood) {
  // Own below foreign: the gap between them gives 0, accepting or passing all gives 1/2; 0 is
  // nearer to 0.
  const Calibration result = calibrate(std::vector<double>{1}, std::vector<double>{5});
  EXPECT_EQ(result.threshold, 0);
  EXPECT_EQ(result.balanced_accuracy, 0.5);
  // One single value on both sides: no gap at all.
  EXPECT_EQ(calibrate(std::vector<double>{4}, std::vector<double>{4}).threshold, 3);
}

TEST(Calibration, RocRunsFromAcceptAllToPassAll) {
  const Calibration result = calibrate(std::vector<double>{1, 4}, std::vector<double>{0, 4});
  ASSERT_EQ(result.roc.size(), 4U);  // -1, 0.5, 2.5, 5
  const double expected[4][3] = {{-1, 1, 1}, {0.5, 1, 0.5}, {2.5, 0.5, 0.5}, {5, 0, 0}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(result.roc[i].threshold, expected[i][0]);
    EXPECT_EQ(result.roc[i].true_positive_rate, expected[i][1]);
    EXPECT_EQ(result.roc[i].false_positive_rate, expected[i][2]);
  }
}

TEST(Calibration, OneSideAloneKeepsZero) {
  EXPECT_EQ(calibrate(std::vector<double>{1, 2}, {}).threshold, 0);
  EXPECT_EQ(calibrate({}, std::vector<double>{1, 2}).threshold, 0);
  EXPECT_TRUE(calibrate({}, {}).roc.empty());
}

TEST(Calibration, NeighbouringDoublesAreStillSeparated) {
  for (const double low : {1.0, -1.0, 0.0, 1e300, -3e-310}) {
    const double high = std::nextafter(low, std::numeric_limits<double>::infinity());
    const Calibration result = calibrate(std::vector<double>{high}, std::vector<double>{low});
    EXPECT_TRUE(high > result.threshold);
    EXPECT_FALSE(low > result.threshold);
    EXPECT_EQ(result.balanced_accuracy, 1);
  }
}

TEST(Calibration, NoThresholdIsBetter) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<double> own(1 + random() % 12);
    std::vector<double> foreign(1 + random() % 12);
    for (double& margin : own) {
      margin = static_cast<double>(random() % 20) - 8;
    }
    for (double& margin : foreign) {
      margin = static_cast<double>(random() % 20) - 12;
    }
    const Calibration result = calibrate(own, foreign);
    EXPECT_DOUBLE_EQ(result.balanced_accuracy, balanced_accuracy(own, foreign, result.threshold));
    for (double threshold = -15; threshold < 15; threshold += 0.25) {
      EXPECT_LE(balanced_accuracy(own, foreign, threshold), result.balanced_accuracy + 1e-12);
    }
  }
}

// Above 1.5 are four of five own rows and one of three foreign ones.
TEST(Calibration, SharesAreThoseAtTheThreshold) {
  const Calibration result =
      calibrate(std::vector<double>{-2, 3, 3.5, 5, 6}, std::vector<double>{-1, 0, 4});
  EXPECT_EQ(result.threshold, 1.5);
  EXPECT_EQ(result.num_own, 5);
  EXPECT_EQ(result.num_foreign, 3);
  EXPECT_DOUBLE_EQ(result.own_accepted, 0.8);
  EXPECT_DOUBLE_EQ(result.foreign_passed, 2.0 / 3);
}

TEST(Calibration, DoubtsAreSaidInWords) {
  const auto doubts = [](std::int64_t num_own, std::int64_t num_foreign, double own,
                         double foreign) {
    Calibration found;
    found.num_own = num_own;
    found.num_foreign = num_foreign;
    found.own_accepted = own;
    found.foreign_passed = foreign;
    return base::join(doubts_about("qa", found), "\n");
  };
  EXPECT_EQ(doubts(8, 8, 0.9, 0.9), "");
  EXPECT_THAT(doubts(7, 30, 1, 1),
              AllOf(HasSubstr("qa IS A GUESS"), HasSubstr("7 own rows"), HasSubstr("8 of each")));
  EXPECT_THAT(doubts(20, 0, 0, 0), AllOf(HasSubstr("GUESS"), Not(HasSubstr("OWN"))));
  EXPECT_THAT(doubts(20, 30, 0.89, 1), AllOf(HasSubstr("qa DOES NOT KNOW"), HasSubstr("0.89 of 20"),
                                             HasSubstr("num_train_epochs")));
  EXPECT_THAT(doubts(20, 30, 1, 0.5),
              AllOf(HasSubstr("qa TAKES"), HasSubstr("0.50 of 30"), HasSubstr("negative_floor")));
}

TEST(Calibration, NonFiniteMarginsAreAnError) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THROW(calibrate(std::vector<double>{infinity}, std::vector<double>{0}), base::Error);
  EXPECT_THROW(calibrate(std::vector<double>{0}, std::vector<double>{std::nan("")}), base::Error);
}

}  // namespace
}  // namespace baton::method
