#include "baton/base/narrow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baton::base {
namespace {

using ::testing::ElementsAre;

TEST(WrapText, BreaksAtSpacesAndBehindCommas) {
  EXPECT_THAT(wrap_text("one two three", 20), ElementsAre("one two three"));
  EXPECT_THAT(wrap_text("one two three", 8), ElementsAre("one two", "three"));
  EXPECT_THAT(wrap_text("a,bb,ccc", 4), ElementsAre("a,", "bb,", "ccc"));
  EXPECT_THAT(wrap_text("a word-that-is-long b", 6), ElementsAre("a", "word-that-is-long", "b"));
  EXPECT_THAT(wrap_text("", 6), ElementsAre(""));
  EXPECT_THAT(wrap_text("ü ü ü", 3), ElementsAre("ü ü", "ü"));  // columns, not bytes
}

TEST(NarrowTable, BreaksTheLastColumnWhereItIsTooWide) {
  const std::vector<std::vector<std::string>> rows = {{"1", "alpha, beta, gamma, delta"},
                                                      {"2", "epsilon"}};
  EXPECT_EQ(format_narrow_table({"n", "names"}, rows),
            "n  names\n"
            "-  -------------------------\n"
            "1  alpha, beta, gamma, delta\n"
            "2  epsilon\n");
  EXPECT_EQ(format_narrow_table({"n", "names"}, rows, 20),
            "n  names\n"
            "-  ------------\n"
            "1  alpha, beta,\n"
            "   gamma, delta\n"
            "2  epsilon\n");
}

}  // namespace
}  // namespace baton::base
