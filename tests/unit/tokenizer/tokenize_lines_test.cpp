#include "baton/tokenizer/tokenize_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "baton/base/error.hpp"
#include "tokenizer_fixture.hpp"

namespace baton::tokenizer {
namespace {

class TokenizeLines : public testing::Test {
 protected:
  std::string run(const std::string& text) const {
    std::istringstream in(text);
    std::ostringstream out;
    tokenize_lines(*tokenizer_, in, out);
    return out.str();
  }

  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(golden_folder() / "smollm2");
};

TEST_F(TokenizeLines, OneArrayALine) {
  const auto lines = run("one two\n\nthree\r\nfour");
  std::istringstream in(lines);
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) {
    texts.push_back(tokenizer_->decode(base::Json::parse(line).get<std::vector<TokenId>>()));
  }
  EXPECT_THAT(texts, testing::ElementsAre("one two", "", "three\r", "four"));
}

TEST_F(TokenizeLines, NoInputNoOutput) {
  EXPECT_EQ(run(""), "");
  EXPECT_EQ(run("\n"), "[]\n");
}

TEST_F(TokenizeLines, InvalidUtf8NamesLineAndByte) {
  try {
    run("fine\n\nab\xC3(\n");
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kData);
    EXPECT_THAT(error.what(), testing::HasSubstr("line 3, byte 2"));
  }
}

TEST_F(TokenizeLines, FailedWriteIsAStorageError) {
  std::istringstream in("text\n");
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  try {
    tokenize_lines(*tokenizer_, in, out);
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  }
}

}  // namespace
}  // namespace baton::tokenizer
