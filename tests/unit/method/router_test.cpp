#include "baton/method/router.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "baton/base/error.hpp"

namespace baton::method {
namespace {

struct Expert {
  std::string name;
  double threshold = 0;
  double margin = 0;
};

/// The router's way through experts whose margins are known.
Route go(const std::string& router, const Query& query, const std::vector<Expert>& experts) {
  std::vector<PanelExpert> panel;
  for (const Expert& expert : experts) {
    panel.push_back({expert.name, expert.threshold});
  }
  return route(*make_router(router), query, panel,
               [&](int expert) { return experts.at(static_cast<std::size_t>(expert)).margin; });
}

TEST(SequentialRouter, NewestThatAcceptsAnswersAndOlderAreNotAsked) {
  const Route route = go("sequential", {"1", "a"}, {{"a", 0, 9}, {"b", 0, 3}, {"c", 0, -1}});
  ASSERT_EQ(route.answerers.size(), 1U);
  EXPECT_EQ(route.answerers[0].expert, 1);
  EXPECT_EQ(route.answerers[0].weight, 1.0);
  ASSERT_EQ(route.asked.size(), 2U);
  EXPECT_EQ(route.asked[0].expert, 2);
  EXPECT_EQ(route.asked[0].margin, -1);
  EXPECT_EQ(route.asked[1].expert, 1);
  EXPECT_EQ(route.asked[1].margin, 3);
}

TEST(SequentialRouter, ThresholdIsStrictAndEachExpertsOwn) {
  EXPECT_EQ(go("sequential", {"1", ""}, {{"a", 0, 0}, {"b", 2.5, 2.5}}).answerers.at(0).expert,
            kBase);
  EXPECT_EQ(go("sequential", {"1", ""}, {{"a", -1, -0.5}, {"b", 2.5, 2.4}}).answerers.at(0).expert,
            0);
}

TEST(SequentialRouter, BaseAnswersWhenAllPassOrNobodyIsThere) {
  const Route nobody = go("sequential", {"1", "a"}, {});
  EXPECT_EQ(nobody.answerers.at(0).expert, kBase);
  EXPECT_TRUE(nobody.asked.empty());
  const Route all_pass = go("sequential", {"1", "a"},
                            {{"a", 0, -1}, {"b", 0, -std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(all_pass.answerers.at(0).expert, kBase);
  EXPECT_EQ(all_pass.asked.size(), 2U);
}

TEST(SequentialRouter, MayAnswerWhereItAccepts) {
  const auto router = make_router("sequential");
  EXPECT_TRUE(router->may_answer({"1", ""}, {"a", 0.5}, 0.6));
  EXPECT_FALSE(router->may_answer({"1", "a"}, {"a", 0.5}, 0.5));
  EXPECT_FALSE(router->needs_true_task());
}

TEST(OracleRouter, TrueTaskAnswersWithoutAsking) {
  const std::vector<Expert> experts = {{"a", 0, -9}, {"b", 0, 9}};
  const Route own = go("oracle", {"1", "a"}, experts);
  EXPECT_EQ(own.answerers.at(0).expert, 0);
  EXPECT_TRUE(own.asked.empty());
  EXPECT_EQ(go("oracle", {"1", "unseen"}, experts).answerers.at(0).expert, kBase);
  EXPECT_EQ(go("oracle", {"1", ""}, experts).answerers.at(0).expert, kBase);
  const auto router = make_router("oracle");
  EXPECT_TRUE(router->may_answer({"1", "a"}, {"a", 0}, -9));
  EXPECT_FALSE(router->may_answer({"1", "a"}, {"b", 0}, 9));
  EXPECT_TRUE(router->needs_true_task());
}

TEST(ParallelRouter, TheSurestOfThoseThatAcceptAnswers) {
  // Surplus over one's own threshold: 2, 3 and 1.
  const Route route = go("parallel", {"1", "a"}, {{"a", 0, 2}, {"b", -1, 2}, {"c", 4, 5}});
  EXPECT_EQ(route.answerers.at(0).expert, 1);
  ASSERT_EQ(route.asked.size(), 3U);
  EXPECT_EQ(route.asked[0].expert, 2);  // newest first
  EXPECT_EQ(go("parallel", {"1", "a"}, {{"a", 0, 1}, {"b", 0, 1}}).answerers.at(0).expert, 1);
  EXPECT_EQ(go("parallel", {"1", "a"}, {{"a", 0, 0}, {"b", 3, 2}}).answerers.at(0).expert, kBase);
  EXPECT_EQ(go("parallel", {"1", "a"}, {}).answerers.at(0).expert, kBase);
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

TEST(MakeRouter, WhoGoesByMarginsAlone) {
  EXPECT_EQ(make_router("sequential")->margin_rule(), MarginRule::kFirst);
  EXPECT_EQ(make_router("parallel")->margin_rule(), MarginRule::kSurest);
  for (const char* name : {"oracle", "analytic", "gates"}) {
    EXPECT_EQ(make_router(name)->margin_rule(), MarginRule::kNone) << name;
  }
}

TEST(MakeRouter, EveryRouterIsFoundByTheNameItGivesItself) {
  for (const std::string& name : router_names()) {
    EXPECT_EQ(make_router(name)->name(), name);
  }
}

TEST(GatesRouter, AllThatAreThereAnswerAsOneAndNobodyIsAsked) {
  EXPECT_EQ(go("gates", {"1", "a"}, {}).answerers.at(0).expert, kBase);
  const Route route = go("gates", {"1", "a"}, {{"a"}, {"b"}, {"c"}});
  ASSERT_EQ(route.answerers.size(), 3U);
  EXPECT_EQ(route.answerers[2].expert, 2);
  EXPECT_TRUE(route.asked.empty());
  const auto router = make_router("gates");
  EXPECT_EQ(router->ensembles(3), (std::vector<std::vector<int>>{{0, 1}, {0, 1, 2}}));
  EXPECT_TRUE(router->ensembles(1).empty()) << "one alone is itself";
  EXPECT_TRUE(router->may_answer({}, {"a", 0, 0}, -9));
  EXPECT_FALSE(router->may_answer({}, {"b", 0, 1}, 9));
  for (const std::string& name : router_names()) {
    EXPECT_EQ(make_router(name)->ensembles(3).empty(), name != "gates");
  }
}

}  // namespace
}  // namespace baton::method
