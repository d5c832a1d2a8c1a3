#include "baton/method/feature_classifier.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "baton/method/router.hpp"

namespace baton::method {
namespace {

TEST(FeatureMapTest, IsAConstantAndRectifiedSumsOfSignedFeatures) {
  const FeatureMap map(7, 4, 200);
  const std::vector<float> x{3, -1, 2, 0.5};
  const std::vector<double> phi = map.widen(x);
  ASSERT_EQ(phi.size(), 200U);
  EXPECT_EQ(phi[0], 1);
  const double size = std::sqrt((9 + 1 + 4 + 0.25) / 4);
  std::size_t num_zero = 0;
  for (std::size_t i = 1; i < phi.size(); ++i) {
    // Of the sixteen signed sums one.
    bool is_one = phi[i] == 0;
    for (int signs = 0; signs < 16; ++signs) {
      double sum = 0;
      for (int j = 0; j < 4; ++j) {
        sum += ((signs >> j) & 1) != 0 ? static_cast<double>(x[static_cast<std::size_t>(j)])
                                       : -static_cast<double>(x[static_cast<std::size_t>(j)]);
      }
      is_one = is_one || std::abs(phi[i] - sum / 2 / size) < 1e-6;
    }
    EXPECT_TRUE(is_one) << i;
    num_zero += phi[i] == 0 ? 1U : 0U;
  }
  EXPECT_GT(num_zero, 60U);
  EXPECT_LT(num_zero, 140U);
  // The length of the features says nothing, and another seed is another map.
  const std::vector<double> longer = map.widen(std::vector<float>{6, -2, 4, 1});
  for (std::size_t i = 0; i < phi.size(); ++i) {
    EXPECT_NEAR(longer[i], phi[i], 1e-6);
  }
  EXPECT_NE(FeatureMap(8, 4, 200).widen(x), phi);
}

// Hand-made weights: the constant alone decides at the first stage, the sign of the input later.
TEST(AnalyticRouterTest, TheHighestScoreOfTheStageAnswers) {
  FeatureMap map(1, 1, 3);
  const std::vector<double> positive = map.widen(std::vector<float>{2});
  const std::vector<double> negative = map.widen(std::vector<float>{-2});
  const std::vector<double> up = map.widen(std::vector<float>{1});
  const std::vector<double> down = map.widen(std::vector<float>{-1});
  std::vector<std::vector<double>> weights{{1, 0, 0}, {0.1, 0, 0, 0, up[1], up[2]}};
  ASSERT_NE(up, down);
  const auto router = make_router("analytic");
  router->take(std::make_shared<FeatureClassifier>(std::move(map), weights));
  const std::vector<PanelExpert> experts{{"a", 0, 0}, {"b", 0, 1}};
  const auto who = [&](const std::vector<double>& features, std::size_t num_experts) {
    return route(*router, {.id = "1", .features = features}, std::span(experts).first(num_experts),
                 {})
        .answerers.front()
        .expert;
  };
  EXPECT_EQ(who(positive, 0), kBase);
  EXPECT_EQ(who(positive, 1), 0);
  const bool up_is_b = up[1] * up[1] + up[2] * up[2] > 0.1;
  EXPECT_EQ(who(positive, 2), up_is_b ? 1 : 0);
  const bool down_is_b = down[1] * up[1] + down[2] * up[2] > 0.1;
  EXPECT_EQ(who(negative, 2), down_is_b ? 1 : 0);
  // An expert may answer where it is best at a stage that it is part of.
  EXPECT_TRUE(router->may_answer({.features = positive}, experts[0], 0));
  EXPECT_EQ(router->may_answer({.features = positive}, experts[1], 0), up_is_b);
  EXPECT_TRUE(router->needs_features());
}

}  // namespace
}  // namespace baton::method
