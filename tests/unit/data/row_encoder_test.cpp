#include "baton/data/row_encoder.hpp"

#include <gmock/gmock.h>

#include "unit/data/fake_tokenizer.hpp"

namespace baton::data {
namespace {

using testing::ElementsAre;

constexpr Indicators kIndicators{.accept = 'Y', .pass = 'N'};

SelectedRow row_of(const std::string& prompt,
                   const std::string& answer,
                   RowRole role = RowRole::kPositive) {
  return {.example = {.id = "1",
                      .conversation = {{"user", prompt}},
                      .references = {answer, "other"},
                      .origin = "qa.json line 7"},
          .role = role,
          .task = role == RowRole::kGeneral ? "" : "qa"};
}

class RowEncoderTest : public testing::Test {
 protected:
  RowEncoder encoder(std::int64_t cutoff_len) const {
    return {tokenizer_, template_, kIndicators, cutoff_len};
  }

  FakeTokenizer tokenizer_;
  FakeTemplate template_{tokenizer_};
  EncodingCounts counts_;
};

TEST_F(RowEncoderTest, PositiveIsPromptAcceptAnswerEnd) {
  const std::vector<SelectedRow> rows{row_of("ab", "xyz")};
  const std::vector<TrainingRow> encoded = encoder(100).encode(rows, counts_);
  ASSERT_EQ(encoded.size(), 1U);
  EXPECT_THAT(encoded[0].tokens,
              ElementsAre(300, 301, 'a', 'b', 302, 303, 'Y', 'x', 'y', 'z', 302));
  EXPECT_EQ(encoded[0].prompt_length, 6);
  EXPECT_EQ(encoded[0].num_target_tokens(), 5);
  EXPECT_EQ(encoded[0].task, "qa");
  EXPECT_EQ(counts_.num_prompt_tokens, 6);
  EXPECT_EQ(counts_.num_target_tokens, 5);
  EXPECT_EQ(counts_.num_rows_cut + counts_.num_rows_over + counts_.num_answers_with_indicator, 0);
}

TEST_F(RowEncoderTest, NegativesPassAndEndWhateverTheirAnswer) {
  const std::vector<SelectedRow> rows{row_of("ab", "YN", RowRole::kRehearsal),
                                      row_of("c", "", RowRole::kGeneral)};
  const std::vector<TrainingRow> encoded = encoder(100).encode(rows, counts_);
  EXPECT_THAT(encoded[0].tokens, ElementsAre(300, 301, 'a', 'b', 302, 303, 'N', 302));
  EXPECT_THAT(encoded[1].tokens, ElementsAre(300, 301, 'c', 302, 303, 'N', 302));
  EXPECT_EQ(encoded[1].role, RowRole::kGeneral);
  EXPECT_EQ(encoded[1].task, "");
  EXPECT_EQ(encoded[0].row_index, 0);
  EXPECT_EQ(encoded[1].row_index, 1);
  EXPECT_EQ(counts_.num_answers_with_indicator, 0);
}

TEST_F(RowEncoderTest, CutoffTakesUserTextOnly) {
  // Prompt 4 + 10, target 3: 17 tokens. Within 12, 5 of the 10 user tokens stay.
  const std::vector<SelectedRow> rows{row_of("0123456789", "z")};
  const std::vector<TrainingRow> encoded = encoder(12).encode(rows, counts_);
  EXPECT_THAT(encoded[0].tokens,
              ElementsAre(300, 301, '0', '1', '2', '3', '4', 302, 303, 'Y', 'z', 302));
  EXPECT_EQ(counts_.num_rows_cut, 1);
  EXPECT_EQ(counts_.num_tokens_cut, 5);
  EXPECT_EQ(counts_.num_rows_over, 0);
}

TEST_F(RowEncoderTest, ExactFitIsNotCut) {
  const std::vector<SelectedRow> rows{row_of("0123456789", "z")};
  encoder(17).encode(rows, counts_);
  EXPECT_EQ(counts_.num_rows_cut, 0);
  encoder(0).encode(rows, counts_);  // no bound
  EXPECT_EQ(counts_.num_rows_cut, 0);
}

TEST_F(RowEncoderTest, AnswerLongerThanTheCutoffStaysWholeAndIsCounted) {
  const std::vector<SelectedRow> rows{row_of("ab", "0123456789")};
  const std::vector<TrainingRow> encoded = encoder(5).encode(rows, counts_);
  EXPECT_EQ(encoded[0].num_target_tokens(), 12);
  EXPECT_EQ(encoded[0].prompt_length, 4);
  EXPECT_EQ(counts_.num_rows_over, 1);
  EXPECT_EQ(counts_.num_tokens_cut, 2);
}

TEST_F(RowEncoderTest, AnswersThatHoldAnIndicatorAreCounted) {
  const std::vector<SelectedRow> rows{row_of("a", "xY"), row_of("a", "Nx"), row_of("a", "x")};
  encoder(0).encode(rows, counts_);
  EXPECT_EQ(counts_.num_answers_with_indicator, 2);
}

TEST_F(RowEncoderTest, QuestionHasThePromptOfTraining) {
  const SelectedRow row = row_of("some question", "z");
  const TrainingRow trained = encoder(0).encode(std::vector<SelectedRow>{row}, counts_).front();
  EXPECT_EQ(encoder(0).encode_prompt(row.example, counts_),
            std::vector<tokenizer::TokenId>(trained.tokens.begin(),
                                            trained.tokens.begin() + trained.prompt_length));
  EXPECT_EQ(encoder(10).encode_prompt(row.example, counts_).size(), 10U);
}

TEST_F(RowEncoderTest, ErrorsNameTheRow) {
  const std::vector<SelectedRow> rows{row_of("a", "\xFF")};
  try {
    encoder(0).encode(rows, counts_);
    FAIL() << "invalid UTF-8 was encoded";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.details().where, "qa.json line 7, byte 0");
  }
  EXPECT_THROW(encoder(-1), base::Error);
}

}  // namespace
}  // namespace baton::data
