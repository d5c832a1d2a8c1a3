#include "baton/method/router.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "baton/base/error.hpp"

namespace baton::method {
namespace {

class FakePanel final : public ExpertPanel {
 public:
  struct Expert {
    std::string name;
    double threshold = 0;
    double margin = 0;
  };
  explicit FakePanel(std::vector<Expert> experts) : experts_(std::move(experts)) {}

  int size() const override { return static_cast<int>(experts_.size()); }
  const std::string& name(int expert) const override {
    return experts_.at(static_cast<std::size_t>(expert)).name;
  }
  double threshold(int expert) const override {
    return experts_.at(static_cast<std::size_t>(expert)).threshold;
  }
  double margin(int expert) override {
    ++num_asked_;
    return experts_.at(static_cast<std::size_t>(expert)).margin;
  }
  int num_asked() const { return num_asked_; }

 private:
  std::vector<Expert> experts_;
  int num_asked_ = 0;
};

TEST(SequentialRouter, NewestThatAcceptsAnswersAndOlderAreNotAsked) {
  FakePanel panel({{"a", 0, 9}, {"b", 0, 3}, {"c", 0, -1}});
  const Route route = make_router("sequential")->route({"1", "a"}, panel);
  ASSERT_EQ(route.answerers.size(), 1U);
  EXPECT_EQ(route.answerers[0].expert, 1);
  EXPECT_EQ(route.answerers[0].weight, 1.0);
  ASSERT_EQ(route.asked.size(), 2U);
  EXPECT_EQ(route.asked[0].expert, 2);
  EXPECT_EQ(route.asked[0].margin, -1);
  EXPECT_EQ(route.asked[1].expert, 1);
  EXPECT_EQ(route.asked[1].margin, 3);
  EXPECT_EQ(panel.num_asked(), 2);
}

TEST(SequentialRouter, ThresholdIsStrictAndEachExpertsOwn) {
  FakePanel equal({{"a", 0, 0}, {"b", 2.5, 2.5}});
  EXPECT_EQ(make_router("sequential")->route({"1", ""}, equal).answerers.at(0).expert, kBase);
  FakePanel negative({{"a", -1, -0.5}, {"b", 2.5, 2.4}});
  EXPECT_EQ(make_router("sequential")->route({"1", ""}, negative).answerers.at(0).expert, 0);
}

TEST(SequentialRouter, BaseAnswersWhenAllPassOrNobodyIsThere) {
  FakePanel none({});
  const Route route = make_router("sequential")->route({"1", "a"}, none);
  EXPECT_EQ(route.answerers.at(0).expert, kBase);
  EXPECT_TRUE(route.asked.empty());
  FakePanel all_pass({{"a", 0, -1}, {"b", 0, -std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(make_router("sequential")->route({"1", "a"}, all_pass).asked.size(), 2U);
}

TEST(SequentialRouter, NotANumberIsAnError) {
  FakePanel panel({{"a", 0, std::numeric_limits<double>::quiet_NaN()}});
  try {
    make_router("sequential")->route({"q7", ""}, panel);
    FAIL() << "NaN was taken for a pass";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kNonFinite);
    EXPECT_THAT(error.what(), testing::HasSubstr("expert a, query q7"));
  }
}

TEST(OracleRouter, TrueTaskAnswersWithoutAsking) {
  FakePanel panel({{"a", 0, -9}, {"b", 0, 9}});
  const auto router = make_router("oracle");
  EXPECT_EQ(router->name(), "oracle");
  EXPECT_EQ(router->route({"1", "a"}, panel).answerers.at(0).expert, 0);
  EXPECT_EQ(router->route({"1", "unseen"}, panel).answerers.at(0).expert, kBase);
  EXPECT_EQ(router->route({"1", ""}, panel).answerers.at(0).expert, kBase);
  EXPECT_EQ(panel.num_asked(), 0);
}

TEST(MakeRouter, UnknownNameSuggestsTheNearest) {
  try {
    make_router("sequental");
    FAIL() << "an unknown router was made";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean \"sequential\"?"));
  }
}

}  // namespace
}  // namespace baton::method
