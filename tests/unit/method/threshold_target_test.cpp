#include "baton/method/threshold_target.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "baton/method/calibration.hpp"

namespace baton::method {
namespace {

using Kind = ThresholdTarget::Kind;

TEST(ThresholdTargetTest, IsReadFromItsText) {
  EXPECT_EQ(parse_threshold_target("balanced").kind, Kind::kBalanced);
  EXPECT_EQ(parse_threshold_target("false_accept=0.05").kind, Kind::kFalseAccept);
  EXPECT_EQ(parse_threshold_target("false_accept=0.05").value, 0.05);
  EXPECT_EQ(parse_threshold_target("cost=5").value, 5);
  for (const char* text : {"", "best", "cost", "cost=", "cost=0", "cost=-1", "cost=nan",
                           "false_accept=1.1", "false_accept=0,1", "balanced=1"}) {
    EXPECT_THROW(parse_threshold_target(text), base::Error) << text;
  }
}

// Hand-made: 4 own rows, 4 foreign ones.
TEST(ThresholdTargetTest, TakesThePointThatServesItBest) {
  const std::vector<expert::RocPoint> roc{
      {-3, 1, 1}, {-2, 1, 0.5}, {-1, 0.75, 0.25}, {1, 0.5, 0.25}, {2, 0.25, 0}, {4, 0, 0}};
  EXPECT_EQ(choose_point(roc, {}).threshold, -2);  // 0.5, as -1 has it; equal room, the lower
  EXPECT_EQ(choose_point(roc, {Kind::kFalseAccept, 0.3}).threshold, -1);
  EXPECT_EQ(choose_point(roc, {Kind::kFalseAccept, 0}).threshold, 2);
  EXPECT_EQ(choose_point(roc, {Kind::kFalseAccept, 1}).threshold, -2);
  EXPECT_EQ(choose_point(roc, {Kind::kCost, 10}).threshold, 2);
  EXPECT_EQ(choose_point(roc, {Kind::kCost, 0.1}).threshold, -2);
}

// From the curve alone as good as from the margins themselves.
TEST(ThresholdTargetTest, BalancedIsWhatTrainingFinds) {
  base::Random random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> own;
    std::vector<double> foreign;
    for (int i = 0; i < 12; ++i) {
      own.push_back(static_cast<double>(random.below(40)) / 4);
      foreign.push_back(static_cast<double>(random.below(40)) / 4 - 4);
    }
    const Calibration found = calibrate(own, foreign);
    const expert::RocPoint& point = choose_point(found.roc, {});
    EXPECT_NEAR((1 + point.true_positive_rate - point.false_positive_rate) / 2,
                found.balanced_accuracy, 1e-12);
  }
}

}  // namespace
}  // namespace baton::method
