// Whether a scorer fits a task's rows, and the labels that accuracy takes.

#include "baton/eval/task_scorer.hpp"

#include <gmock/gmock.h>

#include "baton/base/error.hpp"

namespace baton::eval {
namespace {

using testing::HasSubstr;

data::Example row(const std::string& answer, std::vector<std::string> options = {}) {
  return {.id = "r",
          .conversation = {{"user", "q"}},
          .references = {answer},
          .origin = "rows.json line 1",
          .options = std::move(options)};
}

std::string error_of(const data::TaskData& task, const std::string& metric) {
  try {
    scorer_of(task, metric);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kData) << error.what();
    EXPECT_FALSE(error.details().fix.empty());
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

metrics::Score score(const data::TaskData& task, const std::string& answer) {
  const std::vector<std::string> references{"yes"};
  return scorer_of(task, "accuracy")->score(answer, {references}, "");
}

TEST(TaskScorer, TheTasksOwnMetricStandsAboveTheUsualOne) {
  data::TaskData task{.name = "t", .train = {row("a")}, .eval = {row("b")}};
  EXPECT_EQ(scorer_of(task, "rouge_l")->name(), "rouge_l");
  task.metric = "exact_match";
  EXPECT_EQ(scorer_of(task, "rouge_l")->name(), "exact_match");
}

TEST(TaskScorer, LabelsAreTheAnswersOfTheRows) {
  const data::TaskData task{.name = "t", .train = {row("Yes"), row("no.")}, .eval = {row("yes")}};
  EXPECT_EQ(score(task, "YES!").value, 100);
  EXPECT_EQ(score(task, "no").value, 0);
  EXPECT_FALSE(score(task, "no").is_outside);
  EXPECT_TRUE(score(task, "perhaps").is_outside);
  EXPECT_TRUE(score(task, "yes yes").is_outside);
  EXPECT_TRUE(score(task, "").is_outside);
}

TEST(TaskScorer, LabelsOfTheEntryAreAllThereAre) {
  data::TaskData task{.name = "t", .train = {row("other")}, .eval = {row("yes")}};
  task.labels = {"yes", "no"};
  EXPECT_TRUE(score(task, "other").is_outside);
  EXPECT_FALSE(score(task, "no").is_outside);
  task.eval.push_back(row("maybe"));
  EXPECT_THAT(error_of(task, "accuracy"),
              testing::AllOf(HasSubstr("none of the task's labels"), HasSubstr("rows.json line 1"),
                             HasSubstr("one of the 2 labels")));
  task.labels = {"yes", "Yes!"};
  EXPECT_THAT(error_of(task, "accuracy"), HasSubstr("cannot be told apart"));
}

TEST(TaskScorer, OneLabelIsWarnedOf) {
  const data::TaskData task{.name = "lonely", .train = {row("yes")}, .eval = {row("yes")}};
  testing::internal::CaptureStderr();
  scorer_of(task, "accuracy");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(HasSubstr("task lonely"), HasSubstr("one label")));
}

TEST(TaskScorer, FreeTextIsWarnedOf) {
  data::TaskData task{.name = "stories", .train = {}, .eval = {}};
  for (int i = 0; i < 30; ++i) {
    task.train.push_back(row("answer number " + std::to_string(i)));
  }
  testing::internal::CaptureStderr();
  scorer_of(task, "accuracy");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("look like free text"));
}

TEST(TaskScorer, EmptyEvalAnswersAreNoError) {
  const data::TaskData task{
      .name = "t", .train = {row("yes"), row("no")}, .eval = {row(" "), row("no")}};
  EXPECT_NO_THROW(scorer_of(task, "accuracy"));
}

TEST(TaskScorer, MultipleChoiceWantsOptions) {
  data::TaskData task{.name = "t", .train = {}, .eval = {row("a")}};
  EXPECT_THAT(error_of(task, "multiple_choice"),
              testing::AllOf(HasSubstr("does not fit"), HasSubstr("no options")));
  task.eval = {row("a", {"b", "c"})};
  EXPECT_THAT(error_of(task, "multiple_choice"), HasSubstr("one of the row's options"));
  task.eval = {row("a", {"a", "b"})};
  EXPECT_EQ(scorer_of(task, "multiple_choice")->name(), "multiple_choice");
}

TEST(TaskScorer, ChineseReferencesAreRefusedBeforeAnythingIsDecoded) {
  const data::TaskData task{.name = "t", .train = {}, .eval = {row("\xE4\xB8\xAD\xE6\x96\x87")}};
  EXPECT_THAT(error_of(task, "ssr_rouge_l"),
              testing::AllOf(HasSubstr("U+4E2D"), HasSubstr("rows.json line 1")));
  EXPECT_EQ(scorer_of(task, "rouge_l")->name(), "rouge_l");
}

}  // namespace
}  // namespace baton::eval
