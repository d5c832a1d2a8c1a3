#include "baton/metrics/score_matrix.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "baton/base/error.hpp"

namespace baton::metrics {
namespace {

// Rows are stages 0..3, columns tasks 1..3.
ScoreMatrix three_tasks() {
  constexpr double kScores[4][3] = {{10, 20, 30}, {60, 22, 28}, {50, 70, 35}, {40, 66, 80}};
  ScoreMatrix matrix({"a", "b", "c"});
  for (int stage = 0; stage < 4; ++stage) {
    for (int task = 0; task < 3; ++task) {
      matrix.set(stage, task, kScores[stage][task]);
    }
  }
  return matrix;
}

TEST(ScoreMatrix, HandComputedSummaries) {
  const ScoreMatrix matrix = three_tasks();
  EXPECT_DOUBLE_EQ(matrix.average(), (40 + 66 + 80) / 3.0);
  // ((a[3][1] - a[1][1]) + (a[3][2] - a[2][2])) / 2 = (-20 - 4) / 2
  EXPECT_DOUBLE_EQ(*matrix.backward_transfer(), -12);
  // (a[1][2] + a[2][3]) / 2 = (22 + 35) / 2
  EXPECT_DOUBLE_EQ(*matrix.forward_transfer(), 28.5);
  // task 1: max(a[1][1], a[2][1]) - a[3][1] = 60 - 40; task 2: a[2][2] - a[3][2] = 4
  EXPECT_DOUBLE_EQ(*matrix.forgetting(), 12);
}

TEST(ScoreMatrix, ForgettingStartsFromTheBestStageAndMayBeNegative) {
  ScoreMatrix matrix = three_tasks();
  matrix.set(2, 0, 65);  // better after the second task than right after its own
  EXPECT_DOUBLE_EQ(*matrix.forgetting(), ((65 - 40) + 4) / 2.0);
  matrix.set(0, 0, 99);  // the base is no stage of learning
  EXPECT_DOUBLE_EQ(*matrix.forgetting(), ((65 - 40) + 4) / 2.0);
  matrix.set(3, 0, 90);
  matrix.set(3, 1, 71);
  EXPECT_DOUBLE_EQ(*matrix.forgetting(), ((65 - 90) + (70 - 71)) / 2.0);
}

TEST(ScoreMatrix, OneTaskHasOnlyAnAverage) {
  ScoreMatrix matrix({"only"});
  matrix.set(0, 0, 3);
  matrix.set(1, 0, 7);
  EXPECT_DOUBLE_EQ(matrix.average(), 7);
  EXPECT_FALSE(matrix.backward_transfer());
  EXPECT_FALSE(matrix.forward_transfer());
  EXPECT_FALSE(matrix.forgetting());
}

TEST(ScoreMatrix, CsvReadsBackEqual) {
  ScoreMatrix matrix({"plain", "with,comma and \"quote\""});
  const double third = 100.0 / 3;
  for (int stage = 0; stage <= 2; ++stage) {
    matrix.set(stage, 0, third + stage);
    matrix.set(stage, 1, 0.1 * stage);
  }
  std::istringstream lines(matrix.to_csv());
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "stage,plain,\"with,comma and \"\"quote\"\"\"");
  for (int stage = 0; stage <= 2; ++stage) {
    ASSERT_TRUE(std::getline(lines, line));
    const std::size_t first = line.find(',');
    const std::size_t second = line.find(',', first + 1);
    EXPECT_EQ(std::stoi(line.substr(0, first)), stage);
    EXPECT_EQ(std::stod(line.substr(first + 1, second - first - 1)), matrix.at(stage, 0));
    EXPECT_EQ(std::stod(line.substr(second + 1)), matrix.at(stage, 1));
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(ScoreMatrix, MisuseIsAnInternalError) {
  ScoreMatrix matrix({"a", "b"});
  EXPECT_THROW(matrix.at(0, 0), base::Error);  // never set
  EXPECT_THROW(matrix.set(3, 0, 1), base::Error);
  EXPECT_THROW(matrix.set(0, 2, 1), base::Error);
  EXPECT_THROW(matrix.set(-1, 0, 1), base::Error);
  EXPECT_THROW(matrix.set(0, 0, 0.0 / 0.0), base::Error);
  EXPECT_THROW(ScoreMatrix({}), base::Error);
}

}  // namespace
}  // namespace baton::metrics
