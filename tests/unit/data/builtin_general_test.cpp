#include "baton/data/builtin_general.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <set>

namespace baton::data {
namespace {

TEST(BuiltinGeneral, IsTheFileOfTheSourceTree) {
  std::ifstream file(BATON_SOURCE_DIR "/data/general/instructions.jsonl");
  std::size_t num_lines = 0;
  for (std::string line; std::getline(file, line);) {
    ++num_lines;
  }
  EXPECT_EQ(builtin_general_rows().size(), num_lines);
}

// A few hundred queries, each its own: short and long ones.
TEST(BuiltinGeneral, RowsAreManyAndDiffer) {
  std::set<std::string> prompts;
  std::set<std::string> ids;
  std::size_t longest = 0;
  for (const Example& row : builtin_general_rows()) {
    ASSERT_EQ(row.conversation.size(), 1U);
    EXPECT_EQ(row.conversation[0].role, "user");
    EXPECT_GT(row.conversation[0].text.size(), 10U);
    longest = std::max(longest, row.conversation[0].text.size());
    prompts.insert(row.conversation[0].text);
    ids.insert(row.id);
  }
  EXPECT_GE(prompts.size(), 200U);
  EXPECT_EQ(ids.size(), prompts.size());
  EXPECT_GT(longest, 250U);
}

}  // namespace
}  // namespace baton::data
