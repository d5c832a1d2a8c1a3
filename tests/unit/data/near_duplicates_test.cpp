#include "baton/data/near_duplicates.hpp"

#include <gmock/gmock.h>

#include <set>

#include "baton/base/seed.hpp"
#include "baton/data/frame.hpp"

namespace baton::data {
namespace {

std::vector<Example> rows_of(const std::vector<std::string>& texts) {
  std::vector<Example> rows;
  for (const std::string& text : texts) {
    const std::string number = std::to_string(rows.size() + 1);
    rows.push_back({.id = number,
                    .conversation = {{"user", text}},
                    .references = {"a"},
                    .origin = "t.json line " + number});
  }
  return rows;
}

TEST(Frame, IsWhatAllRowsHaveInCommon) {
  const auto frame = frame_of(rows_of({"Say it in French.\nThe cat sleeps.\nAnswer:",
                                       "Say it in French.\nThe dog barks.\nAnswer:"}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->before, "Say it in French.\n");  // not "The", with which both inputs begin
  EXPECT_EQ(frame->after, "\nAnswer:");
  EXPECT_EQ(frame->input_of("Say it in French.\nThe dog barks.\nAnswer:"), "The dog barks.");
}

TEST(Frame, OfOneLineEndsWithAWord) {
  const auto frame = frame_of(rows_of({"Plural of mouse", "Plural of moose"}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->before, "Plural of ");
  EXPECT_EQ(frame->after, "");
}

TEST(Frame, OfUnlikeOrOfSingleRowsIsNone) {
  EXPECT_FALSE(frame_of(rows_of({"What is this?", "Where is that"})));
  EXPECT_FALSE(frame_of(rows_of({"What is this?"})));
  EXPECT_FALSE(frame_of({}));
}

TEST(Frame, OfEqualRowsLeavesNoInputTwice) {
  const auto frame = frame_of(rows_of({"one two\nthree four", "one two\nthree four"}));
  ASSERT_TRUE(frame);
  EXPECT_LE(frame->before.size() + frame->after.size(), std::string("one two\nthree four").size());
  frame->input_of("one two\nthree four");
}

TEST(NearDuplicates, NamesTasksAndRows) {
  const std::string long_text =
      "the old man and the sea went for a walk along the beach every morning before the sun rose "
      "over the hills and the birds began to sing their songs in the trees around the house";
  NearDuplicateFinder finder;
  EXPECT_TRUE(finder.add("a", rows_of({long_text, "short text", "x", long_text})).empty());
  EXPECT_TRUE(finder.add("b", rows_of({"another text altogether", "short story"})).empty());
  std::string changed = long_text;
  changed.replace(changed.find("hills"), 5, "HILL");
  const auto found = finder.add("c", rows_of({"nothing like it", "Short,  TEXT!", changed + "."}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].task, "c");
  EXPECT_EQ(found[0].other, "a");
  EXPECT_EQ(found[0].num_rows, 2);
  EXPECT_EQ(found[0].num_task_rows, 3);
  EXPECT_EQ(found[0].first, "t.json line 2");
}

// One instruction over other inputs, or one input under other instructions, is no duplicate.
TEST(NearDuplicates, LooksAtInstructionAndInput) {
  const std::string twin = "Please read both sentences with care and answer with yes or no only:\n";
  NearDuplicateFinder finder;
  finder.add("a", rows_of({twin + "cats sleep all day", twin + "dogs run fast"}));
  EXPECT_TRUE(finder.add("b", rows_of({twin + "birds sing at dawn", twin + "fish swim"})).empty());
  EXPECT_TRUE(finder
                  .add("c", rows_of({"Translate this line into German now\ncats sleep all day",
                                     "Translate this line into German now\nit rains"}))
                  .empty());
  EXPECT_EQ(finder.add("d", rows_of({twin + "cats sleep all day", twin + "it snows"})).size(), 1U);
}

// A slow twin: every pair, all triples.
TEST(NearDuplicates, FindsWhatComparingAllPairsFinds) {
  base::Random random(3);
  const auto text = [&] {
    std::string words;
    for (int i = 0; i < 24; ++i) {
      words += "w" + std::to_string(random.below(500)) + " ";
    }
    return words;
  };
  std::vector<std::string> first;
  for (int i = 0; i < 200; ++i) {
    first.push_back(text());
  }
  std::vector<std::string> second;
  for (int i = 0; i < 200; ++i) {  // every other row is one of the first with its last words cut
    std::string row = i % 2 == 0 ? text() : first[static_cast<std::size_t>(i)];
    for (int cut = 0; i % 2 == 1 && cut < i % 3; ++cut) {
      row = row.substr(0, row.rfind(' ', row.size() - 2) + 1);
    }
    second.push_back(row);
  }
  NearDuplicateFinder finder;
  finder.add("a", rows_of(first));
  const auto found = finder.add("b", rows_of(second));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].num_rows, 100);  // 20 to 22 of 22 triples
}

}  // namespace
}  // namespace baton::data
