#include "app/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace baton::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(RenderBar, FillsByShare) {
  EXPECT_EQ(render_bar(0, 4), "[    ]");
  EXPECT_EQ(render_bar(0.5, 4), "[=>  ]");
  EXPECT_EQ(render_bar(1, 4), "[====]");
  EXPECT_EQ(render_bar(7, 4), "[====]");
  EXPECT_EQ(render_bar(-1, 4), "[    ]");
}

ProgressState two_groups() {
  ProgressState state;
  state.groups = {{0, "qa", 20, 60, 1.25, 512}, {1, "sum", 45, 90, 0.5, 0}};
  state.steps_done = 65;
  state.steps_total = 260;
  state.elapsed_seconds = 65;
  state.seconds_left = 195;
  return state;
}

TEST(RenderTerminal, OneLineAGroupAndOneForAll) {
  const auto lines = render_terminal(two_groups(), 100);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0], AllOf(StartsWith("group 0  qa"), HasSubstr(" 33%"), HasSubstr("20/60"),
                              HasSubstr("loss 1.25"), HasSubstr("512 tokens/s")));
  EXPECT_THAT(lines[1],
              AllOf(StartsWith("group 1  sum"), HasSubstr(" 50%"), Not(HasSubstr("tokens/s"))));
  EXPECT_THAT(lines[2],
              AllOf(StartsWith("all"), HasSubstr("65/260"), HasSubstr("3 min 15 s left")));
}

TEST(RenderTerminal, NeverWiderThanTheTerminal) {
  for (const int width : {20, 33, 60, 80, 200}) {
    for (const auto& line : render_terminal(two_groups(), width)) {
      EXPECT_LE(line.size(), static_cast<std::size_t>(width));
    }
  }
}

TEST(RenderTerminal, ThingsCountedAreOneLineWithoutALoss) {
  ProgressState state;
  state.groups = {{.group = 0, .expert = "queries", .step = 30, .total = 120}};
  state.steps_done = 30;
  state.steps_total = 120;
  state.elapsed_seconds = 10;
  state.seconds_left = 30;
  const auto lines = render_terminal(state, 100);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], AllOf(StartsWith("queries"), HasSubstr(" 25%"), HasSubstr("30/120"),
                              HasSubstr("30.0 s left"), Not(HasSubstr("loss"))));
  EXPECT_EQ(render_plain(state, state.groups[0]), "queries 30/120 (25 %), 30.0 s left");
}

TEST(RenderTerminal, WithoutATotal) {
  auto state = two_groups();
  state.steps_total = 0;
  EXPECT_THAT(render_terminal(state, 80).back(),
              AllOf(HasSubstr("65 steps"), Not(HasSubstr("left"))));
}

TEST(RenderPlain, NamesGroupExpertAndTimeLeft) {
  const auto state = two_groups();
  EXPECT_EQ(render_plain(state, state.groups[0]),
            "group 0 qa step 20/60 (33 %), loss 1.25, 512 tokens/s, 3 min 15 s left");
}

TEST(RenderPlain, TheNewestValidationStandsBesideTheLoss) {
  auto state = two_groups();
  state.groups[0].validation_loss = 1.5;
  EXPECT_EQ(
      render_plain(state, state.groups[0]),
      "group 0 qa step 20/60 (33 %), loss 1.25 (validation 1.5), 512 tokens/s, 3 min 15 s left");
  EXPECT_THAT(render_terminal(state, 100)[0], HasSubstr("loss 1.25 (validation 1.5)  512"));
}

struct Stage {
  double now = 100;
  std::ostringstream out;
  Progress progress;

  explicit Stage(bool is_terminal) : progress(is_terminal, out, 80, [this] { return now; }) {}
  std::string take() {
    std::string text = out.str();
    out.str("");
    return text;
  }
};

TEST(Progress, PlainLinesComeEveryFewSeconds) {
  Stage stage(false);
  stage.progress.set_total_steps(20);
  stage.now += 1;
  stage.progress.update({0, "qa", 1, 10, 2.0, 100});
  EXPECT_EQ(stage.take(),
            "[1s] group 0 qa step 1/10 (10 %), loss 2, 100 tokens/s, 19.0 s left in all\n");
  stage.now += 4;
  stage.progress.update({1, "sum", 4, 10, 2.0, 100});
  EXPECT_EQ(stage.take(), "");
  stage.now += 2;
  stage.progress.update({0, "qa", 2, 10, 1.5, 100});
  const auto text = stage.take();
  EXPECT_THAT(text, AllOf(HasSubstr("group 0 qa step 2/10"), HasSubstr("group 1 sum step 4/10")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Progress, TheTimeLeftIsNamedOnlyWhereItIsOfMore) {
  Stage stage(false);
  stage.progress.set_total_steps(10);
  stage.now += 1;
  stage.progress.update({0, "qa", 1, 10, 2.0, 100});
  EXPECT_THAT(stage.take(), HasSubstr("9.0 s left\n"));
}

TEST(Colour, IsRoundTheBarAlone) {
  EXPECT_EQ(colour_bar("all [=> ] 50%"), "all [\x1b[32m=> \x1b[0m] 50%");
  EXPECT_EQ(colour_bar("no bar"), "no bar");
}

// Of two experts with ten steps each the first ends after five: five of fifteen are done, not of
// twenty.
TEST(Progress, OneThatStopsEarlyHasFewerSteps) {
  Stage stage(false);
  stage.progress.set_total_steps(20);
  for (int step = 1; step <= 5; ++step) {
    stage.now += 1;
    stage.progress.update({0, "qa", step, step < 5 ? 10 : 5, 1.0, 0});
  }
  stage.progress.finish(0, "qa", 5);
  EXPECT_THAT(stage.take(), HasSubstr("done in 5.0 s, 5 steps"));
  stage.now += 6;
  stage.progress.update({0, "sum", 1, 10, 1.0, 0});
  EXPECT_THAT(stage.take(), HasSubstr("16.5 s left"));  // six steps in 11 s, nine to go
}

TEST(Progress, FinishAlwaysSpeaksAndCounts) {
  Stage stage(false);
  stage.progress.set_total_steps(20);
  for (int step = 1; step <= 10; ++step) {
    stage.now += 1;
    stage.progress.update({0, "qa", step, 10, 1.0, 0});
  }
  stage.take();
  stage.progress.finish(0, "qa", 10);
  EXPECT_EQ(stage.take(), "group 0 qa done in 10.0 s, 10 steps, last loss 1\n");
  stage.now += 5;
  stage.progress.update({0, "sum", 5, 10, 1.0, 0});  // resumed at step 4
  // 11 steps done in 15 s, 5 to go: 6.8 s
  EXPECT_THAT(stage.take(), HasSubstr("6.8 s left"));
}

TEST(Progress, TerminalRedrawsInPlace) {
  Stage stage(true);
  stage.progress.set_total_steps(20);
  stage.progress.update({0, "qa", 1, 10, 2.0, 100});
  EXPECT_THAT(stage.take(), Not(HasSubstr("\x1b")));
  stage.now += 0.01;
  stage.progress.update({0, "qa", 2, 10, 2.0, 100});
  EXPECT_EQ(stage.take(), "");
  stage.now += 1;
  stage.progress.update({1, "sum", 1, 10, 2.0, 100});
  EXPECT_THAT(stage.take(), AllOf(StartsWith("\x1b[2A\r\x1b[J"), HasSubstr("group 1  sum")));
  stage.progress.finish(0, "qa", 3);
  EXPECT_THAT(stage.take(), AllOf(StartsWith("\x1b[3A\r\x1b[J"
                                             "group 0 qa done in"),
                                  HasSubstr("group 1  sum")));
  stage.progress.clear();
  EXPECT_EQ(stage.take(), "\x1b[2A\r\x1b[J");
  stage.progress.clear();
  EXPECT_EQ(stage.take(), "");
}

}  // namespace
}  // namespace baton::app
