#include "baton/report/svg.hpp"

#include <gtest/gtest.h>

#include "baton/report/figures.hpp"

namespace baton::report {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(HeatMap, EveryCellHasItsShadeAndNumber) {
  const HeatMap map{{"m", "A <title>", "what"},
                    "stage",
                    "task",
                    {"0", "1"},
                    {"qa", "<b>"},
                    {{0, 50}, {99, 100}},
                    {{"0.0", "50.0"}, {"99.0", "100.0"}},
                    0,
                    100};
  const std::string svg = heat_map(map);
  EXPECT_NE(svg.find("<title id=\"m-t\">A &lt;title&gt;</title>"), std::string::npos);
  EXPECT_NE(svg.find("aria-labelledby=\"m-t m-d\""), std::string::npos);
  EXPECT_EQ(count(svg, "class=\"h0\""), 1U);
  EXPECT_EQ(count(svg, "class=\"h3\""), 1U);
  EXPECT_EQ(count(svg, "class=\"h6\""), 2U);
  EXPECT_NE(svg.find(">99.0</text>"), std::string::npos);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
}

TEST(HeatMap, ShadesSpanTheScale) {
  EXPECT_EQ(shade_of(-1, 0, 70), 0);
  EXPECT_EQ(shade_of(9.9, 0, 70), 0);
  EXPECT_EQ(shade_of(10, 0, 70), 1);
  EXPECT_EQ(shade_of(70, 0, 70), 6);
  EXPECT_EQ(shade_of(1, 1, 1), 0);
}

TEST(Ticks, AreRound) {
  EXPECT_EQ(ticks(0, 100, 5), (std::vector<double>{0, 20, 40, 60, 80, 100}));
  EXPECT_EQ(ticks(0, 8, 5), (std::vector<double>{0, 2, 4, 6, 8}));
  EXPECT_EQ(ticks(-4, 4, 5), (std::vector<double>{-4, -2, 0, 2, 4}));
}

TEST(TimeLine, SpansThatOverlapLieInLanes) {
  EXPECT_EQ(lanes_of({{"a", 0, 10}, {"b", 5, 8}, {"c", 8, 12}, {"d", 10, 11}}),
            (std::vector<int>{0, 1, 1, 0}));
}

TEST(TimeLine, TimesAreUtc) {
  EXPECT_EQ(utc_seconds("1970-01-02T00:01:05Z"), 86465);
  EXPECT_EQ(utc_seconds("2026-11-24T23:39:54Z"), 1795563594);
  EXPECT_EQ(utc_seconds("unknown"), std::nullopt);
  EXPECT_EQ(utc_seconds("2026-02-30T00:00:00Z"), std::nullopt);
}

TEST(Bars, IntervalsAreDrawn) {
  const std::string svg =
      bar_chart({{"b", "t", "d"}, "AR", {{"see", 50, {{40, 60}}}, {"base", 5}}});
  EXPECT_EQ(count(svg, "class=\"whisker\""), 3U);
  EXPECT_EQ(count(svg, "class=\"bar\""), 2U);
}

TEST(Lines, OnePointAndNoSpanAreDrawn) {
  const std::string svg = line_chart({{"l", "t", "d"}, "x", "y", {{"a", {{1, 0}}}}});
  EXPECT_EQ(count(svg, "<circle"), 2U);  // in the plot and in the legend
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Roc, HasEveryCornerAndNoMiddles) {
  const auto roc = roc_of({3, 4, 5}, {1, 2, 3.5});
  ASSERT_FALSE(roc.empty());
  EXPECT_EQ(roc.front().true_positive_rate, 1);
  EXPECT_EQ(roc.front().false_positive_rate, 1);
  EXPECT_EQ(roc.back().true_positive_rate, 0);
  EXPECT_EQ(roc.back().false_positive_rate, 0);
  EXPECT_EQ(roc.size(), 5U);  // (1,1) (1/3,1) (1/3,2/3) (0,2/3) (0,0)
  EXPECT_TRUE(roc_of({1}, {}).empty());
}

}  // namespace
}  // namespace baton::report
