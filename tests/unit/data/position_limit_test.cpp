#include "baton/data/position_limit.hpp"

#include <gmock/gmock.h>

#include "baton/base/error.hpp"

namespace baton::data {
namespace {

TEST(CheckPositions, PromptAndTargetTogetherMayFillThemAll) {
  EXPECT_NO_THROW(check_positions(500, 12, 512, "row 1"));
  try {
    check_positions(500, 13, 512, "row 1");
    FAIL() << "a row beyond the last position was taken";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kData);
    for (const char* part : {"row 1", "512", "500", "13", "max_position_embeddings"}) {
      EXPECT_THAT(error.what(), testing::HasSubstr(part));
    }
  }
}

}  // namespace
}  // namespace baton::data
