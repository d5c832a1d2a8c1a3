#include "baton/metrics/rouge_l.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

namespace baton::metrics {
namespace {

std::string golden_path() {
  const char* other = std::getenv("BATON_ROUGE_GOLDEN");
  return other != nullptr ? other : BATON_SOURCE_DIR "/tests/golden/metrics/rouge_l.jsonl";
}

TEST(RougeL, EqualsThePythonPackageToTheLastDigit) {
  std::ifstream file(golden_path());
  ASSERT_TRUE(file) << golden_path();
  std::string line;
  int num_pairs = 0;
  int num_partial = 0;
  while (std::getline(file, line)) {
    const nlohmann::json row = nlohmann::json::parse(line);
    const auto expected = row[2].get<double>();
    EXPECT_EQ(rouge_l(row[0].get<std::string>(), row[1].get<std::string>()), expected)
        << golden_path() << " line " << num_pairs + 1;
    ++num_pairs;
    num_partial += expected > 0 && expected < 100 ? 1 : 0;
  }
  EXPECT_GE(num_pairs, 2000);
  EXPECT_GE(num_partial, 1000);  // the file would prove little if most scores were 0 or 100
  RecordProperty("pairs", num_pairs);
}

TEST(RougeL, HandComputed) {
  // LCS of (a c b d) and (a b c d) is 3 of 4: P = R = 0.75.
  EXPECT_DOUBLE_EQ(rouge_l("a c b d", "a b c d"), 75);
  // LCS 1, P = 1, R = 1/3: F = 2/3 / (4/3) = 0.5.
  EXPECT_DOUBLE_EQ(rouge_l("cat", "the cat sat"), 50);
  EXPECT_EQ(rouge_l("", "a"), 0);
  EXPECT_EQ(rouge_l("a", ""), 0);
  EXPECT_EQ(rouge_l("", ""), 0);
  EXPECT_EQ(rouge_l("?!", "?!"), 0);
}

TEST(RougeL, LowerCasesWhatPythonLowerCasesToAscii) {
  EXPECT_EQ(rouge_l("\xE2\x84\xAA", "k"), 100);  // Kelvin sign
  EXPECT_DOUBLE_EQ(rouge_l("a\xC4\xB0"
                           "b",
                           "ai b"),
                   100);                       // dotted capital I: "i" and a separator
  EXPECT_EQ(rouge_l("\xC5\xBF", "s"), 0);      // long s stays outside a-z
  EXPECT_EQ(rouge_l("\xEF\xBC\xA1", "a"), 0);  // full-width A too
}

TEST(RougeL, InvalidUtf8IsASeparator) {
  EXPECT_EQ(rouge_l("a\xFFz", "a z"), 100);
  EXPECT_EQ(rouge_l("a\xC4", "a"), 100);
  EXPECT_EQ(rouge_l("a\xE2\x84", "a"), 100);
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string a;
    std::string b;
    for (int i = 0; i < 30; ++i) {
      a.push_back(static_cast<char>(random() & 0xFF));
      b.push_back(static_cast<char>(random() & 0xFF));
    }
    const double score = rouge_l(a, b);
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 100);
    EXPECT_EQ(score, rouge_l(b, a));  // F is symmetric
  }
}

TEST(RougeL, BestOfSeveralReferences) {
  const std::vector<std::string> references{"nothing", "the cat sat", "the cat"};
  // Against the third: LCS 1, P = 1, R = 1/2, F = 2/3.
  EXPECT_DOUBLE_EQ(rouge_l_best("cat", references), 100.0 * 2 / 3);
  EXPECT_EQ(rouge_l_best("cat", {}), 0);
}

}  // namespace
}  // namespace baton::metrics
