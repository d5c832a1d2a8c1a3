#include "baton/metrics/metric.hpp"

#include <gmock/gmock.h>

#include "baton/base/error.hpp"
#include "baton/metrics/exact_match.hpp"

namespace baton::metrics {
namespace {

TEST(ExactMatch, NormalisesCasePunctuationAndSpace) {
  EXPECT_EQ(exact_match(" Yes. ", "yes"), 100);
  EXPECT_EQ(exact_match("the  cat,\nsat", "The cat sat!"), 100);
  EXPECT_EQ(exact_match("don't", "dont"), 100);
  EXPECT_EQ(exact_match("a b", "ab"), 0);
  EXPECT_EQ(exact_match("yes", "no"), 0);
  EXPECT_EQ(exact_match("", "no"), 0);
  EXPECT_EQ(exact_match("", ""), 100);
}

TEST(ExactMatch, FoldsAndComposesUnicode) {
  EXPECT_EQ(exact_match("\xC3\x89T\xC3\x89", "e\xCC\x81t\xC3\xA9"),
            100);  // composed capitals, decomposed small
  EXPECT_EQ(exact_match("STRASSE",
                        "stra\xC3\x9F"
                        "e"),
            100);
  EXPECT_EQ(exact_match("a\xC2\xA0\xE3\x80\x80"
                        "b",
                        "a b"),
            100);  // no-break and ideographic space
  EXPECT_EQ(exact_match("\xC3\xA9", "e"), 0);
}

TEST(ExactMatch, PunctuationAloneIsCompared) {
  EXPECT_EQ(exact_match("(", ")"), 0);
  EXPECT_EQ(exact_match(" ( ", "("), 100);
  EXPECT_EQ(exact_match("yes", "?"), 0);
  EXPECT_EQ(exact_match("?", "yes"), 0);
}

TEST(ExactMatch, InvalidUtf8IsComparedByteByByte) {
  EXPECT_EQ(exact_match("a\xFF", "a\xFF"), 100);
  EXPECT_EQ(exact_match("A\xFF", "a\xFF"), 0);
  EXPECT_EQ(exact_match("a\xFF", "a"), 0);
}

TEST(ExactMatch, AnyReferenceCounts) {
  EXPECT_EQ(exact_match_best("Two.", std::vector<std::string>{"one", "two"}), 100);
  EXPECT_EQ(exact_match_best("three", std::vector<std::string>{"one", "two"}), 0);
  EXPECT_EQ(exact_match_best("", {}), 0);
}

TEST(Metric, NamesLeadToScorers) {
  EXPECT_THAT(metric_names(), testing::ElementsAre("rouge_l", "ssr_rouge_l", "exact_match",
                                                   "accuracy", "multiple_choice"));
  const std::vector<std::string> references{"the cat sat"};
  EXPECT_DOUBLE_EQ(make_scorer("rouge_l")->score("cat", {references}, "").value, 50);
  EXPECT_EQ(make_scorer("exact_match")->score("cat", {references}, "").value, 0);
  for (const std::string& name : metric_names()) {
    EXPECT_EQ(make_scorer(name)->name(), name);
  }
}

TEST(Metric, UnknownNameSuggestsTheNearest) {
  try {
    make_scorer("rougeL");
    FAIL() << "an unknown metric was accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean \"rouge_l\"?"));
  }
}

}  // namespace
}  // namespace baton::metrics
