#include "baton/data/row_encoder.hpp"

#include <gmock/gmock.h>

#include "unit/data/fake_tokenizer.hpp"

namespace baton::data {
namespace {

using testing::ElementsAre;

// What opens the targets of own and of foreign rows.
constexpr tokenizer::TokenId kOwn = 'Y';
constexpr tokenizer::TokenId kForeign = 'N';

SelectedRow row_of(const std::string& prompt,
                   const std::string& answer,
                   RowRole role = RowRole::kPositive) {
  return {.example = {.id = "1",
                      .conversation = {{"user", prompt}},
                      .references = {answer, "other"},
                      .origin = "qa.json line 7"},
          .role = role,
          .task = role == RowRole::kGeneral ? "" : "qa",
          .opening = {role == RowRole::kPositive ? kOwn : kForeign},
          .has_answer = role == RowRole::kPositive};
}

class RowEncoderTest : public testing::Test {
 protected:
  RowEncoder encoder(std::int64_t cutoff_len) const {
    return {tokenizer_, template_, cutoff_len, 0, {kOwn, kForeign}};
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
  EXPECT_EQ(counts_.num_rows_cut + counts_.num_rows_over + counts_.num_answers_with_reserved, 0);
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
  EXPECT_EQ(counts_.num_answers_with_reserved, 0);
}

TEST_F(RowEncoderTest, CutoffTakesUserTextOnly) {
  // A prompt of 4 + 10: within 12, 8 of the 10 user tokens stay.
  const std::vector<SelectedRow> rows{row_of("0123456789", "z")};
  const std::vector<TrainingRow> encoded = encoder(12).encode(rows, counts_);
  EXPECT_THAT(encoded[0].tokens, ElementsAre(300, 301, '0', '1', '2', '3', '4', '5', '6', '7', 302,
                                             303, 'Y', 'z', 302));
  EXPECT_EQ(counts_.num_rows_cut, 1);
  EXPECT_EQ(counts_.num_tokens_cut, 2);
  EXPECT_EQ(counts_.num_rows_over, 0);
}

// What an expert decides must not hang on whether it was told the answer.
TEST_F(RowEncoderTest, EveryPromptIsCutAtTheSameLength) {
  const std::string prompt(50, 'q');
  const std::vector<SelectedRow> rows{row_of(prompt, "z"), row_of(prompt, "a longer answer"),
                                      row_of(prompt, "z", RowRole::kRehearsal),
                                      row_of(prompt, "z", RowRole::kGeneral)};
  const std::vector<tokenizer::TokenId> asked = encoder(20).encode_prompt(rows[0].example, counts_);
  EXPECT_EQ(asked.size(), 20U);
  for (const TrainingRow& row : encoder(20).encode(rows, counts_)) {
    EXPECT_EQ(
        std::vector<tokenizer::TokenId>(row.tokens.begin(), row.tokens.begin() + row.prompt_length),
        asked);
  }
}

TEST_F(RowEncoderTest, ExactFitIsNotCut) {
  const std::vector<SelectedRow> rows{row_of("0123456789", "z")};
  encoder(14).encode(rows, counts_);
  EXPECT_EQ(counts_.num_rows_cut, 0);
  encoder(0).encode(rows, counts_);  // no bound
  EXPECT_EQ(counts_.num_rows_cut, 0);
}

TEST_F(RowEncoderTest, PromptOfTemplatePartsAloneStaysWholeAndIsCounted) {
  const std::vector<SelectedRow> rows{row_of("ab", "z", RowRole::kRehearsal)};
  const std::vector<TrainingRow> encoded = encoder(3).encode(rows, counts_);
  EXPECT_EQ(encoded[0].prompt_length, 4);
  EXPECT_EQ(counts_.num_rows_over, 1);
  EXPECT_EQ(counts_.num_tokens_cut, 2);
}

TEST_F(RowEncoderTest, AnswersThatDoNotFitAreLeftOutAndCounted) {
  const std::vector<SelectedRow> rows{row_of("ab", "0123456789"), row_of("ab", "01234567"),
                                      row_of("ab", "z")};
  const std::vector<TrainingRow> encoded = encoder(10).encode(rows, counts_);
  ASSERT_EQ(encoded.size(), 2U);
  EXPECT_EQ(encoded[0].num_target_tokens(), 10);  // accept, 8 and the end: as many as may be
  EXPECT_EQ(encoded[0].row_index, 1);             // dropout of the others does not move
  EXPECT_EQ(encoded[1].row_index, 2);
  EXPECT_EQ(counts_.num_rows_left_out, 1);
  EXPECT_EQ(counts_.first_left_out, "qa.json line 7");
  EXPECT_EQ(counts_.num_rows_cut + counts_.num_rows_over, 0);
}

TEST_F(RowEncoderTest, RowsBeyondTheModelsPositionsAreLeftOut) {
  const std::vector<SelectedRow> rows{row_of("ab", "0123"), row_of("ab", "012")};
  const RowEncoder small(tokenizer_, template_, 100, 11);
  const std::vector<TrainingRow> encoded = small.encode(rows, counts_);  // 6 + 6 and 6 + 5 tokens
  ASSERT_EQ(encoded.size(), 1U);
  EXPECT_EQ(encoded[0].tokens.size(), 11U);
  EXPECT_EQ(counts_.num_rows_left_out, 1);
}

TEST_F(RowEncoderTest, AnswersThatHoldAReservedTokenAreCounted) {
  const std::vector<SelectedRow> rows{row_of("a", "xY"), row_of("a", "Nx"), row_of("a", "x")};
  encoder(0).encode(rows, counts_);
  EXPECT_EQ(counts_.num_answers_with_reserved, 2);
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
