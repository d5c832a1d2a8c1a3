#include "baton/base/text.hpp"

#include <gmock/gmock.h>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"

namespace baton::base {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Printable, LeavesWhatPeopleWrite) {
  const std::string text = "caf\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80 \"a\\b\"";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(printable("a\x1B[2Jb"), "a\\x1B[2Jb");
  EXPECT_EQ(printable(std::string("\0\t\r\x7F", 4)), "\\x00\\x09\\x0D\\x7F");
  EXPECT_EQ(printable("\xC2\x9B"), "\\x9B");            // CSI as one code point
  EXPECT_EQ(printable("\xE2\x80\xAE"), "\\u{202E}");    // text from right to left
  EXPECT_EQ(printable("a\xE2\x80\x8B"), "a\\u{200B}");  // no width
  EXPECT_EQ(printable("\xEF\xBB\xBFx"), "\\u{FEFF}x");  // a byte order mark
  EXPECT_EQ(printable("\xFF\xC3"), "\\xFF\\xC3");       // no UTF-8
}

TEST(Printable, KeepsOnlyTheLinesThatAreOurs) {
  EXPECT_EQ(printable("a\n  where: b\nwhere: c"), "a\n  where: b\\x0Awhere: c");
  EXPECT_EQ(printable("a\n  b", true), "a\\x0A  b");
}

TEST(Printable, StandsInErrorsTheLogAndTables) {
  const std::string hostile = "x\x1B]0;title\a";
  const Error error(ErrorKind::kData, hostile,
                    {.where = hostile, .expected = hostile, .found = hostile, .fix = hostile});
  EXPECT_THAT(error.what(), Not(HasSubstr("\x1B")));
  EXPECT_THAT(error.what(), HasSubstr("\n  where:    x\\x1B]0;title\\x07\n  expected:"));
  EXPECT_EQ(error.details().found, hostile);
  testing::internal::CaptureStderr();
  log(LogLevel::kError, "area", hostile);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("\x1B")));
  EXPECT_EQ(format_table({"a\x1B"}, {{"b\nc"}}), "a\\x1B\n------\nb\\x0Ac\n");
}

}  // namespace
}  // namespace baton::base
