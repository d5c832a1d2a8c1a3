// Scorers against what the Python packages give, to the last digit: 2,000 pairs of real answers, 500
// odd ones, 2,500 answers that should be a label (tests/golden/make_metrics_golden.py).

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "baton/base/error.hpp"
#include "baton/metrics/metric.hpp"

namespace baton::metrics {
namespace {

using nlohmann::json;

std::vector<json> read_golden(const std::string& name) {
  const char* other = std::getenv("BATON_METRICS_GOLDEN");  // files of more pairs
  std::ifstream file(
      (other != nullptr ? other : std::string(BATON_SOURCE_DIR "/tests/golden/metrics")) + "/" +
      name);
  EXPECT_TRUE(file) << name;
  std::vector<json> rows;
  for (std::string line; std::getline(file, line);) {
    rows.push_back(json::parse(line));
  }
  return rows;
}

class GoldenPairs : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Files,
                         GoldenPairs,
                         testing::Values("real", "odd"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenPairs, EqualThePythonPackages) {
  const std::vector<json> rows = read_golden(std::string(GetParam()) + ".jsonl");
  EXPECT_GE(rows.size(), std::string(GetParam()) == "real" ? 2000U : 500U);
  const std::vector<std::string> names{"rouge_l", "ssr_rouge_l", "exact_match"};
  for (std::size_t metric = 0; metric < names.size(); ++metric) {
    const std::unique_ptr<Scorer> scorer = make_scorer(names[metric]);
    std::size_t num_partial = 0;
    std::size_t num_refused = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto answer = rows[i][0].get<std::string>();
      const std::vector<std::string> references{rows[i][1].get<std::string>()};
      const json& expected = rows[i][2 + metric];
      const std::string where = fmt::format("{}, {}, line {}", names[metric], GetParam(), i + 1);
      if (expected.is_null()) {
        EXPECT_THROW(scorer->score(answer, {references}, where), base::Error) << where;
        ++num_refused;
        continue;
      }
      const double found = scorer->score(answer, {references}, where).value;
      EXPECT_EQ(found, expected.get<double>()) << where;
      num_partial += found > 0 && found < 99 ? 1U : 0U;
    }
    // The file would prove little if most scores were 0 or 100, or most pairs refused.
    EXPECT_LE(4 * num_refused, rows.size()) << names[metric];
    EXPECT_GE(4 * num_partial, metric == 2 ? 0 : rows.size()) << names[metric];
  }
}

TEST(GoldenChoices, EqualAPlainReadingOfTheRules) {
  const std::vector<json> rows = read_golden("choices.jsonl");
  EXPECT_GE(rows.size(), 2500U);
  std::size_t num_outside = 0;
  std::size_t num_right = 0;
  for (const json& row : rows) {
    const auto answer = row[0].get<std::string>();
    const auto references = row[1].get<std::vector<std::string>>();
    const auto options = row[2].get<std::vector<std::string>>();
    for (const char* name : {"accuracy", "multiple_choice"}) {
      const Score found = make_scorer(name, options)->score(answer, {references, options}, "a row");
      EXPECT_EQ(found.value, row[3].get<double>()) << name << " " << row;
      EXPECT_EQ(found.is_outside, row[4].get<bool>()) << name << " " << row;
    }
    num_outside += row[4].get<bool>() ? 1U : 0U;
    num_right += row[3].get<double>() > 0 ? 1U : 0U;
  }
  EXPECT_GE(num_outside, 200U);
  EXPECT_GE(num_right, 500U);
}

}  // namespace
}  // namespace baton::metrics
