#include "method/mismatches.hpp"

#include <gmock/gmock.h>

namespace baton::method {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::vector<data::Example> rows_of(const std::string& instruction, const std::string& word) {
  std::vector<data::Example> rows;
  for (const char* input : {"one ", "two ", "three "}) {
    rows.push_back({.id = word,
                    .conversation = {{"system", "s"}, {"user", instruction + input + word}},
                    .references = {"answer"},
                    .origin = "f line 1"});
  }
  return rows;
}

TEST(Mismatches, HaveOneHalfOfTheTask) {
  const std::vector<data::Example> own = rows_of("Own words.\n", "mine");
  const std::vector<data::Example> general{
      {.id = "g", .conversation = {{"user", "Write a poem."}}, .references = {}, .origin = "g"}};
  const data::RehearsalBuffer twin{.task = "b", .rows = rows_of("Other words.\n", "theirs")};
  const data::RehearsalBuffer same{.task = "c", .rows = rows_of("Own words.\n", "hers")};
  const auto frame = data::frame_of(own);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->before, "Own words.\n");
  const std::vector<data::Example> made = mismatches({own, *frame, general, {&twin, &same}}, 12, 7);
  ASSERT_EQ(made.size(), 12U);
  const auto text = [&](std::size_t i) { return made[i].conversation.back().text; };
  EXPECT_EQ(text(0),
            "Own words.\nWrite a poem. mine");  // what own rows end with is instruction too
  EXPECT_THAT(text(1), StartsWith("Write a poem.\n"));
  EXPECT_THAT(text(2), StartsWith("Own words.\n"));
  EXPECT_THAT(text(2), Not(HasSubstr("Other")));
  EXPECT_THAT(text(3), StartsWith("Other words.\n"));
  EXPECT_THAT(text(3), EndsWith("theirs"));
  EXPECT_THAT(text(4), StartsWith("Own words.\n"));
  EXPECT_THAT(text(5), StartsWith("Write a poem.\n"));  // not what would be an own row
  for (const data::Example& row : made) {
    EXPECT_TRUE(row.references.empty());
    EXPECT_EQ(row.conversation.front().text, "s");
  }
  const auto again = mismatches({own, *frame, general, {&twin, &same}}, 12, 7);
  EXPECT_EQ(data::rows_fingerprint(made), data::rows_fingerprint(again));
  const auto other = mismatches({own, *frame, general, {&twin, &same}}, 12, 8);
  EXPECT_NE(data::rows_fingerprint(made), data::rows_fingerprint(other));
}

}  // namespace
}  // namespace baton::method
