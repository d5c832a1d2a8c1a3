#include "method/k_means.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "baton/base/json.hpp"
#include "baton/base/seed.hpp"

namespace baton::method {
namespace {

using testing::ElementsAre;

// Three heaps of points on a line, of 2, 4 and 6 rows.
std::vector<Features> heaps() {
  return {{0, 0},   {1, 0},   {10, 0},  {10, 2},  {10, 4},   {10, 6},
          {100, 0}, {100, 1}, {100, 2}, {100, 3}, {100, 10}, {100, 20}};
}

TEST(KMeans, FindsHeapsByHand) {
  const std::vector<Features> rows = heaps();
  const Clusters found = k_means(rows, {rows[0], rows[2], rows[6]});
  EXPECT_THAT(found.centres[0], ElementsAre(0.5, 0));
  EXPECT_THAT(found.centres[1], ElementsAre(10, 3));
  EXPECT_THAT(found.centres[2], ElementsAre(100, 6));
  EXPECT_THAT(found.cluster_of, ElementsAre(0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2));
  EXPECT_EQ(found.distances[0], 0.25);
  EXPECT_EQ(found.distances[11], 196);
}

TEST(KMeans, TakesSharesBySizeAndTheNearestOfEach) {
  const std::vector<Features> rows = heaps();
  const Clusters found = k_means(rows, {rows[0], rows[2], rows[6]});
  // 1, 2 and 3 of 6; both of the first heap are as near: the first row. Of the third (centre 6):
  // 3, 2 and 10 (distances 3, 4 and 4).
  EXPECT_THAT(rows_near_centres(found, 6), ElementsAre(0, 3, 4, 8, 9, 10));
  EXPECT_EQ(rows_near_centres(found, 12).size(), 12U);
  // 1/6, 2/6 and 3/6 of a row: the largest remainder.
  EXPECT_THAT(rows_near_centres(found, 1), ElementsAre(9));
}

TEST(KMeans, DrawsDifferentRowsAsCentres) {
  const std::vector<Features> rows = heaps();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<Centre> centres = first_centres(rows, 12, seed);
    ASSERT_EQ(centres.size(), 12U) << seed;
    std::sort(centres.begin(), centres.end());
    EXPECT_EQ(std::unique(centres.begin(), centres.end()), centres.end()) << seed;
  }
  EXPECT_EQ(first_centres(rows, 3, 7), first_centres(rows, 3, 7));
}

TEST(KMeans, RowsFarAwayAreDrawnMoreOften) {
  // From 0 the squared distances are 1 and 9: a tenth and nine tenths.
  const std::vector<Features> rows{{0}, {1}, {3}};
  int far = 0;
  int from_zero = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const std::vector<Centre> centres = first_centres(rows, 2, seed);
    if (centres[0][0] == 0) {
      ++from_zero;
      far += centres[1][0] == 3 ? 1 : 0;
    }
  }
  EXPECT_NEAR(from_zero, 2000, 200);
  EXPECT_NEAR(static_cast<double>(far) / from_zero, 0.9, 0.03);
}

TEST(KMeans, EqualRowsAreOneCentre) {
  const std::vector<Features> rows(9, Features{1, 2});
  const std::vector<Centre> centres = first_centres(rows, 20, 1);
  EXPECT_EQ(centres.size(), 1U);
  EXPECT_THAT(rows_near_centres(k_means(rows, centres), 4), ElementsAre(0, 1, 2, 3));
}

// scikit-learn's KMeans(init=centres, n_init=1, algorithm="lloyd") on the same rows and centres
// (tests/golden/make_kmeans_golden.py).
TEST(KMeans, AgreesWithScikitLearn) {
  std::ifstream file(BATON_SOURCE_DIR "/tests/golden/kmeans/cases.json");
  const base::Json cases = base::Json::parse(file).at("cases");
  ASSERT_EQ(cases.size(), 4U);
  for (const base::Json& one : cases) {
    const auto rows = one.at("rows").get<std::vector<Features>>();
    const Clusters found = k_means(rows, one.at("first").get<std::vector<Centre>>());
    EXPECT_EQ(found.cluster_of, one.at("labels").get<std::vector<std::size_t>>());
    const auto centres = one.at("centres").get<std::vector<Centre>>();
    ASSERT_EQ(found.centres.size(), centres.size());
    for (std::size_t i = 0; i < centres.size(); ++i) {
      for (std::size_t j = 0; j < centres[i].size(); ++j) {
        EXPECT_NEAR(found.centres[i][j], centres[i][j], 1e-12);
      }
    }
  }
}

}  // namespace
}  // namespace baton::method
