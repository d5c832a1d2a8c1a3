#include "baton/config/cli.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/error.hpp"

namespace baton::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Words = std::vector<std::string>;

Command parse(const Words& words) {
  return parse_command(words);
}

std::string error_of(const Words& words) {
  try {
    parse(words);
  } catch (const base::Error& error) {
    EXPECT_EQ(base::exit_code(error.kind()), 2);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Cli, TrainWithOverridesInBothForms) {
  const auto command = parse({"train", "--config", "a.cfg", "--set", "train.seed=1",
                              "--lora.lora_rank=4", "--method.accept_threshold", "-3.5",
                              "--replace", "qa", "--replace=sum", "--set", "data.general="});
  EXPECT_EQ(command.verb, Verb::kTrain);
  EXPECT_EQ(command.config_file, "a.cfg");
  EXPECT_THAT(command.replace, ElementsAre("qa", "sum"));
  ASSERT_EQ(command.overrides.size(), 4U);
  EXPECT_EQ(command.overrides[0].key, "train.seed");
  EXPECT_EQ(command.overrides[0].value, "1");
  EXPECT_EQ(command.overrides[0].origin, "--set train.seed=1");
  EXPECT_EQ(command.overrides[1].key, "lora.lora_rank");
  EXPECT_EQ(command.overrides[1].value, "4");
  EXPECT_EQ(command.overrides[1].origin, "--lora.lora_rank=4");
  EXPECT_EQ(command.overrides[2].value, "-3.5");
  EXPECT_EQ(command.overrides[3].key, "data.general");
  EXPECT_EQ(command.overrides[3].value, "");
  EXPECT_FALSE(command.shows_all_keys);
  EXPECT_TRUE(parse({"train", "--config", "a.cfg", "--all-keys"}).shows_all_keys);
}

TEST(Cli, ASetValueMayHoldEqualsSigns) {
  const auto command = parse({"train", "--config=a", "--set=method.accept_indicator=a=b"});
  EXPECT_EQ(command.overrides.at(0).value, "a=b");
}

TEST(Cli, EvalAskPlanInspectExportTokenize) {
  EXPECT_EQ(parse({"eval", "--run", "r", "--set", "eval.eval_batch_size=3"}).run, "r");
  const auto ask = parse({"ask", "--run=r", "--json", "hello there"});
  EXPECT_TRUE(ask.as_json);
  EXPECT_FALSE(ask.reads_jsonl);
  EXPECT_EQ(ask.prompt, "hello there");
  EXPECT_FALSE(parse({"ask", "--model", "m", "--jsonl"}).prompt.has_value());
  EXPECT_EQ(parse({"ask", "--model", "m", "--set", "model.dtype=float32"}).model, "m");
  const auto plan = parse({"plan", "--config", "a", "--ranks", "16", "--ranks-per-node=8"});
  EXPECT_EQ(plan.num_ranks, 16);
  EXPECT_EQ(plan.num_ranks_per_node, 8);
  EXPECT_FALSE(parse({"plan", "--config", "a", "--ranks", "1"}).num_ranks_per_node.has_value());
  const auto inspect = parse({"inspect", "r/experts/01-qa.h5", "--json"});
  EXPECT_EQ(inspect.path, "r/experts/01-qa.h5");
  EXPECT_TRUE(inspect.as_json);
  const auto exported = parse({"export", "--run", "r", "--expert", "qa", "--out", "o"});
  EXPECT_EQ(exported.expert, "qa");
  EXPECT_EQ(exported.out, "o");
  EXPECT_EQ(parse({"export", "--run", "r", "--out", "o"}).expert, "");
  EXPECT_EQ(parse({"eval", "--run", "r", "--export-predictions", "f"}).export_predictions, "f");
  EXPECT_EQ(parse({"tokenize", "--model", "m"}).model, "m");
}

TEST(Cli, PromptsThatLookLikeFlagsGoBehindTwoDashes) {
  EXPECT_EQ(parse({"ask", "--run", "r", "--", "--help"}).prompt, "--help");
  EXPECT_EQ(parse({"ask", "--run", "r", "--", ""}).prompt, "");
  EXPECT_EQ(parse({"ask", "--run", "r", ""}).prompt, "");
  EXPECT_EQ(parse({"ask", "--run", "r", "-"}).prompt, "-");
  EXPECT_THAT(error_of({"ask", "--run", "r", "-5 + 3 ="}), HasSubstr("lone '--'"));
}

TEST(Cli, HelpEverywhereWithAnExample) {
  for (const Words& words :
       {Words{"--help"}, Words{"-h"}, Words{"help"}, Words{"help", "train"},
        Words{"train", "--help"}, Words{"eval", "--help"}, Words{"ask", "-h"},
        Words{"plan", "--help"}, Words{"inspect", "--help"},
        Words{"export", "--nonsense", "--help"}, Words{"tokenize", "--help"}}) {
    const auto command = parse(words);
    EXPECT_EQ(command.verb, Verb::kHelp);
    EXPECT_THAT(command.text, HasSubstr("Example:"));
  }
  EXPECT_THAT(
      parse({"train", "--help"}).text,
      AllOf(HasSubstr("learning_rate"), HasSubstr("default: 0.001"), HasSubstr("--replace NAME")));
  EXPECT_THAT(parse({"--help"}).text,
              AllOf(HasSubstr("tokenize"), HasSubstr("  report "), HasSubstr("  sweep ")));
}

TEST(Cli, Version) {
  const auto command = parse({"--version"});
  EXPECT_EQ(command.verb, Verb::kVersion);
  EXPECT_EQ(command.text, "baton " + version() + "\n");
}

TEST(Cli, UnknownCommandsAndFlagsNameTheNearest) {
  EXPECT_THAT(error_of({}), HasSubstr("baton --help"));
  EXPECT_THAT(error_of({"trian"}), HasSubstr("did you mean 'baton train'?"));
  EXPECT_THAT(error_of({"help", "evl"}), HasSubstr("did you mean 'baton eval'?"));
  EXPECT_THAT(error_of({"--config"}), HasSubstr("unknown flag '--config'"));
  EXPECT_THAT(error_of({"train", "--confg", "a"}), HasSubstr("did you mean '--config'?"));
  EXPECT_THAT(error_of({"train", "--conf", "a"}), HasSubstr("unknown flag '--conf'"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--train.sed", "3"}),
              HasSubstr("did you mean '--train.seed'?"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--learning_rate=3"}),
              HasSubstr("did you mean '--train.learning_rate'?"));
  EXPECT_THAT(error_of({"train", "--config", "a", "-x"}), HasSubstr("unknown flag '-x'"));
  EXPECT_THAT(error_of({"inspect", "a", "--jsn"}), HasSubstr("did you mean '--json'?"));
}

TEST(Cli, DoctorLooksAtOneFolder) {
  EXPECT_TRUE(parse({"doctor", "--json"}).path.empty());
  EXPECT_EQ(parse({"doctor", "--dir", "runs"}).path, "runs");
  EXPECT_EQ(parse({"doctor", "--run", "runs/qa"}).run, "runs/qa");
  EXPECT_THAT(error_of({"doctor", "--run", "a", "--dir", "b"}), HasSubstr("exclude one another"));
}

TEST(Cli, ReportTakesSeveralRuns) {
  const auto report = parse({"report", "--run", "a", "--run=b", "--out", "c.html"});
  EXPECT_EQ(report.runs, (std::vector<std::filesystem::path>{"a", "b"}));
  EXPECT_EQ(report.out, "c.html");
  EXPECT_THAT(error_of({"report"}), HasSubstr("needs --run"));
}

TEST(Cli, MissingAndSuperfluousValues) {
  EXPECT_THAT(error_of({"train"}), AllOf(HasSubstr("needs --config"), HasSubstr("quickstart.cfg")));
  EXPECT_THAT(error_of({"train", "--config"}), HasSubstr("needs a value"));
  EXPECT_THAT(error_of({"train", "--config", ""}), HasSubstr("needs a value"));
  EXPECT_THAT(error_of({"train", "--config="}), HasSubstr("needs a value"));
  EXPECT_THAT(error_of({"plan", "--config", "--ranks", "2"}), HasSubstr("needs a value"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--train.seed", "--set"}),
              HasSubstr("needs a value"));
  EXPECT_EQ(parse({"train", "--config=--odd"}).config_file, "--odd");
  EXPECT_THAT(error_of({"ask", "--run", "r", "--json=1"}), HasSubstr("takes no value"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--config", "b"}), HasSubstr("given twice"));
  EXPECT_THAT(error_of({"ask", "--run", "r", "--json", "--json"}), HasSubstr("given twice"));
  EXPECT_THAT(error_of({"train", "--config", "a", "b"}), HasSubstr("unexpected argument 'b'"));
  EXPECT_THAT(error_of({"ask", "--run", "r", "two", "words"}), HasSubstr("in quotes"));
  EXPECT_THAT(error_of({"inspect"}), HasSubstr("needs a path"));
  EXPECT_THAT(
      error_of({"eval", "--run", "r", "--questions", "q", "--export-predictions", "samples.jsonl"}),
      HasSubstr("leave --questions out"));
  EXPECT_THAT(error_of({"export", "--run", "r", "--expert", "qa"}), HasSubstr("needs --out"));
}

TEST(Cli, AskTakesRunOrModel) {
  EXPECT_THAT(error_of({"ask", "hi"}), HasSubstr("--run or --model"));
  EXPECT_THAT(error_of({"ask", "--run", "r", "--model", "m", "hi"}), HasSubstr("exclude"));
  EXPECT_THAT(error_of({"ask", "--run", "r", "--jsonl", "hi"}), HasSubstr("--jsonl"));
}

TEST(Cli, CountsAreChecked) {
  for (const auto& bad : {"0", "two", "1.5", "99999999999"}) {
    EXPECT_THAT(error_of({"plan", "--config", "a", "--ranks", bad}),
                AllOf(HasSubstr("--ranks"), HasSubstr(bad)));
  }
}

TEST(Cli, OverridesAreCheckedByName) {
  EXPECT_THAT(error_of({"train", "--config", "a", "--set", "seed"}), HasSubstr("key and a value"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--set", "train.sed=1"}),
              HasSubstr("'train.seed'"));
  EXPECT_THAT(error_of({"train", "--config", "a", "--set", "train.seed=1", "--train.seed=1"}),
              HasSubstr("twice"));
  EXPECT_THAT(error_of({"eval", "--run", "r", "--set", "train.seed=1"}),
              HasSubstr("belongs to the run"));
  EXPECT_THAT(error_of({"ask", "--run", "r", "--model.dtype=float32", "x"}),
              HasSubstr("belongs to the run"));
  EXPECT_THAT(error_of({"ask", "--model", "m", "--set", "lora.lora_rank=1", "x"}),
              HasSubstr("no effect"));
  EXPECT_THAT(error_of({"inspect", "r", "--set", "train.seed=1"}),
              HasSubstr("unknown flag '--set'"));
}

TEST(Cli, VerbNames) {
  EXPECT_EQ(verb_name(Verb::kTrain), "train");
  EXPECT_EQ(verb_name(Verb::kTokenize), "tokenize");
  EXPECT_EQ(verb_name(Verb::kHelp), "help");
}

}  // namespace
}  // namespace baton::config
