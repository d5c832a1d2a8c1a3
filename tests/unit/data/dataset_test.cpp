#include "baton/data/dataset.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "baton/base/error.hpp"
#include "dataset_fixture.hpp"
#include "support/benchmark_rows.hpp"

namespace baton::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string ssr_row(const std::string& id,
                    const std::string& prompt = "SECRET prompt",
                    const std::string& answer = "SECRET") {
  return R"({"id": ")" + id + R"(", "task_name": "x", "input": "", "output": ")" + answer +
         R"(", "full_prompt": ")" + prompt + "\"}";
}

TEST(Samples, AllTasksRead) {
  const Dataset dataset(kSamples);
  EXPECT_THAT(dataset.task_names(),
              ElementsAre("animals", "chat", "colours", "effects", "general", "letters", "moods",
                          "plants", "reverse", "stance", "talk"));
  for (const std::string name : {"colours", "letters", "reverse"}) {
    const TaskData task = dataset.read_task(name, {});
    EXPECT_EQ(task.name, name);
    EXPECT_EQ(task.train.size(), 24U) << name;
    EXPECT_EQ(task.eval.size(), 8U) << name;
  }
  const TaskData general = dataset.read_task("general", {});
  EXPECT_EQ(general.train.size(), 16U);
  EXPECT_TRUE(general.eval.empty());
}

TEST(Samples, LayoutsBecomeTheSameKindOfRow) {
  const Dataset dataset(kSamples);
  const Example reverse = dataset.read_task("reverse", {}).train.at(0);
  EXPECT_EQ(reverse.id, "reverse-01");
  ASSERT_EQ(reverse.conversation.size(), 1U);
  EXPECT_EQ(reverse.conversation[0].role, "user");
  EXPECT_EQ(reverse.conversation[0].text, "Write the word backwards.\n\nlamp");
  EXPECT_THAT(reverse.references, ElementsAre("pmal"));
  EXPECT_THAT(reverse.origin, testing::EndsWith("reverse.train.json line 1"));
  const Example letters = dataset.read_task("letters", {}).train.at(1);
  EXPECT_EQ(letters.id, "row-2");
  EXPECT_EQ(letters.conversation[0].text, "How many letters does this word have?\napple");
  EXPECT_THAT(letters.references, ElementsAre("five"));
  EXPECT_THAT(letters.origin, testing::EndsWith("letters.train.json line 3 (row 2)"));
  const TaskData colours = dataset.read_task("colours", {});
  const auto banana =
      std::find_if(colours.train.begin(), colours.train.end(),
                   [](const Example& row) { return row.origin.ends_with("example 1"); });
  ASSERT_NE(banana, colours.train.end());
  EXPECT_EQ(banana->conversation[0].text,
            "Name the usual colour of this thing.\nThing: banana\nColour:");
  EXPECT_THAT(banana->references, ElementsAre("yellow"));
}

TEST_F(DatasetTest, LimitsKeepTheFirstRows) {
  const TaskData task =
      Dataset(kSamples).read_task("reverse", {.max_train_samples = 3, .max_eval_samples = 100});
  ASSERT_EQ(task.train.size(), 3U);
  EXPECT_EQ(task.train[2].id, "reverse-03");
  EXPECT_EQ(task.eval.size(), 8U);
}

TEST_F(DatasetTest, SsrPairsNeedNoTable) {
  write("b.train.json", ssr_row("1"));
  write("b.eval.json", ssr_row("1", "other"));
  write("a.train.smp01.json", ssr_row("1"));
  write("a.eval.json", ssr_row("1", "other"));
  write("lonely.train.json", ssr_row("1"));
  write("alone.eval.json", ssr_row("1"));
  write("README.md", "x");
  EXPECT_THAT(Dataset(folder_).task_names(), ElementsAre("a", "b"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("a").train.size(), 1U);
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      HasSubstr("task a: a.train.json is not there; the sample a.train.smp01.json is used"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("b").train.size(), 1U);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(DatasetTest, WholeFileIsPreferredToTheSample) {
  write("a.train.json", ssr_row("1") + "\n" + ssr_row("2"));
  write("a.train.smp01.json", ssr_row("1"));
  write("a.eval.json", ssr_row("1", "other"));
  EXPECT_EQ(read("a").train.size(), 2U);
}

TEST_F(DatasetTest, PairsBesideATableAreTasksUnlessTheTableNamesThem) {
  write("a.train.json", ssr_row("1"));
  write("a.eval.json", ssr_row("1", "other"));
  write("b.train.json", ssr_row("1"));
  write("b.eval.json", ssr_row("1", "other"));
  write("dataset_info.json",
        R"({"renamed": {"formatting": "ssr", "train_file": "b.train.json",
                         "eval_file": "b.eval.json"}})");
  EXPECT_THAT(Dataset(folder_).task_names(), ElementsAre("a", "renamed"));
}

TEST_F(DatasetTest, ColumnsRenameFields) {
  write("rows.json", R"({"q": "two", "a": ["2", "ii"], "nr": 17, "s": "be brief"})");
  write("dataset_info.json", R"({"t": {"train_file": "rows.json", "columns":
      {"prompt": "q", "response": "a", "id": "nr", "system": "s", "query": null}}})");
  const Example row = read("t").train.at(0);
  EXPECT_EQ(row.id, "17");
  ASSERT_EQ(row.conversation.size(), 2U);
  EXPECT_EQ(row.conversation[0].role, "system");
  EXPECT_EQ(row.conversation[1].text, "two");
  EXPECT_THAT(row.references, ElementsAre("2", "ii"));
}

TEST_F(DatasetTest, AlpacaHistoryComesBeforeTheQuestion) {
  const TaskData task =
      read_as("alpaca", R"([{"instruction": "and now?", "input": "", "output": "z", "system": "",
      "history": [["hi", "hello"], ["how?", "well"]]}])");
  const auto& conversation = task.train.at(0).conversation;
  ASSERT_EQ(conversation.size(), 5U);
  EXPECT_EQ(conversation[1].role, "assistant");
  EXPECT_EQ(conversation[3].text, "well");
  EXPECT_EQ(conversation[4].role, "user");
  EXPECT_EQ(conversation[4].text, "and now?");
  for (const std::string history :
       {R"("SECRET")", R"([["SECRET"]])", R"([[1, 2]])", R"(["SECRET", "b"])"}) {
    EXPECT_THAT(data_error_of("alpaca",
                              R"({"instruction": "a", "output": "b", "history": )" + history + "}"),
                HasSubstr("\"history\" has the wrong form"));
  }
}

TEST_F(DatasetTest, LineEndsBlankLinesAndByteOrderMarkAreFine) {
  const std::string a = ssr_row("1");
  const std::string b = ssr_row("2");
  for (const std::string& content :
       {a + "\n" + b + "\n", a + "\n" + b, a + "\r\n" + b + "\r\n",
        "\n" + a + "\n \n\n" + b + "\n\n", "\xEF\xBB\xBF" + a + "\n" + b, "[" + a + "," + b + "]",
        "\r\n[\r\n" + a + " ,\n\n" + b + "\n]\n"}) {
    const TaskData task = read_as("ssr", content);
    ASSERT_EQ(task.train.size(), 2U) << content;
    EXPECT_EQ(task.train[1].id, "2");
  }
  EXPECT_THAT(read_as("ssr", "\n" + a + "\n\n" + b).train[1].origin,
              testing::EndsWith("rows.json line 4"));
  EXPECT_THAT(read_as("ssr", "[\n" + a + ",\n\n" + b + "]").train[1].origin,
              testing::EndsWith("rows.json line 4 (row 2)"));
}

TEST_F(DatasetTest, TextIsKeptAsItIs) {
  const TaskData task =
      read_as("ssr", ssr_row("1", R"(  <|im_end|>\n\t\u00e9\ud83d\ude00 ]},{[ \" \\ )", " y "));
  EXPECT_EQ(task.train[0].conversation[0].text,
            "  <|im_end|>\n\t\xC3\xA9\xF0\x9F\x98\x80 ]},{[ \" \\ ");
  EXPECT_EQ(task.train[0].references[0], " y ");
  EXPECT_EQ(read_as("ssr", "[" + ssr_row("1", R"(]},{[ \" \\)") + "," + ssr_row("2") + "]")
                .train[0]
                .conversation[0]
                .text,
            "]},{[ \" \\");
}

TEST_F(DatasetTest, BrokenRowsAreRefusedWithTheirLine) {
  const std::string good = ssr_row("1") + "\n";
  struct Case {
    std::string content;
    std::string line;
    std::string words;
  };
  const std::vector<Case> cases{
      {good + ssr_row("2").substr(0, 60), "line 2", "cut off"},
      {good + ssr_row("2").substr(0, 60) + "\n" + ssr_row("3"), "line 2", "not valid JSON"},
      {good + "SECRET\n", "line 2", "not valid JSON"},
      {good + "[1]\n", "line 2", "not a JSON object"},
      {good + "\n\n\"SECRET\"", "line 4", "found:    a string"},
      {good + ssr_row("2") + ssr_row("3"), "line 2", "not valid JSON"},
      {good + R"({"id": "2", "output": "SECRET"})", "line 2", "\"full_prompt\""},
      {good + R"({"id": "2", "full_prompt": "SECRET", "output": null})", "line 2", "\"output\""},
      {good + R"({"id": "2", "full_prompt": "SECRET", "output": 3})", "line 2",
       "found:    a number"},
      {good + R"({"id": "2", "full_prompt": ["SECRET"], "output": "x"})", "line 2",
       "found:    a list"},
      {good + R"({"id": "2", "full_prompt": "SECRET", "output": []})", "line 2", "empty list"},
      {good + R"({"id": "2", "full_prompt": "SECRET", "output": ["a", 1]})", "line 2",
       "found:    a number"},
      {good + R"({"id": {}, "full_prompt": "SECRET", "output": "x"})", "line 2",
       "\"id\" has the wrong type"},
      {good + R"({"id": 1.5, "full_prompt": "SECRET", "output": "x"})", "line 2",
       "\"id\" has the wrong type"},
      {good + R"({"id": "", "full_prompt": "SECRET", "output": "x"})", "line 2", "\"id\" is empty"},
      {good + R"({"id": "2", "id": "3", "full_prompt": "SECRET", "output": "x"})", "line 2",
       "twice"},
      {good + R"({"id": "2", "full_prompt": "SECRET\u0000", "output": "x"})", "line 2", "NUL"},
      {good + R"({"id": "2", "full_prompt": "\ud800 SECRET", "output": "x"})", "line 2",
       "not valid JSON"},
      {good + ssr_row("1", "other"), "line 2", "same id"},
      {good + ssr_row("2", " \\n "), "line 2", "prompt is empty"},
      {good + ssr_row("2", "SECRET", ""), "line 2", "answer of a train row is empty"},
      {good + "{\"id\": \"2\", \"full_prompt\": \"SECRET \xFF\"}", "line 2", "offset"},
      {good + std::string("{\"id\": \"\0\"}", 11), "line 2", "NUL byte at offset"},
      {good + std::string(100, '[') + std::string(100, ']'), "line 2", "64 levels"},
      {"[" + ssr_row("1") + ",\n" + ssr_row("2"), "line 2 (row 2)", "cut off"},
      {"[" + ssr_row("1") + ",\n]", "line 2 (row 2)", "not valid JSON"},
      {"[" + ssr_row("1") + "\n\n" + ssr_row("2") + "]", "line 1 (row 1)", "not valid JSON"},
      {"[" + ssr_row("1") + "]\nSECRET", "line 1", "text follows"},
      {"[\n\n7]", "line 3 (row 1)", "not a JSON object"},
  };
  for (const Case& item : cases) {
    const std::string error = data_error_of("ssr", item.content);
    EXPECT_THAT(error, HasSubstr("rows.json " + item.line)) << item.words;
    EXPECT_THAT(error, HasSubstr(item.words)) << item.content;
  }
}

TEST_F(DatasetTest, InvalidBytesAreNamedByTheirOffset) {
  EXPECT_THAT(data_error_of("ssr", "\n\nab\xC3("),
              HasSubstr("invalid byte at offset 4 of the file"));
  EXPECT_THAT(data_error_of("ssr", "\n\nab\xC3("), HasSubstr("rows.json line 3"));
}

TEST_F(DatasetTest, WrongFilesAreRefusedByName) {
  EXPECT_THAT(data_error_of("ssr", ""), HasSubstr("a task file is empty"));
  EXPECT_THAT(data_error_of("ssr", " \n\n"), HasSubstr("white space only"));
  EXPECT_THAT(data_error_of("ssr", "\xEF\xBB\xBF"), HasSubstr("a task file is empty"));
  EXPECT_THAT(data_error_of("alpaca", " [ ] "), HasSubstr("holds no row"));
  EXPECT_THAT(data_error_of("ssr", "\x1F\x8B\x08\xFF"), HasSubstr("gunzip"));
  EXPECT_THAT(data_error_of("ssr", std::string("PK\x03\x04\x00", 5)), HasSubstr("zip archive"));
  EXPECT_THAT(data_error_of("ssr", std::string("\xFF\xFE{\0", 4)), HasSubstr("UTF-16"));
  EXPECT_THAT(data_error_of("ssr", "\x80\x04\x95zz"), HasSubstr("pickle"));
  EXPECT_THAT(data_error_of("ssr", "PAR1xx"), HasSubstr("Parquet"));
  EXPECT_THAT(data_error_of("ssr", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
              HasSubstr("git lfs pull"));
}

TEST_F(DatasetTest, HugeLineIsRefusedAtOnce) {
  const std::string error =
      data_error_of("ssr", ssr_row("1") + "\n{\"full_prompt\": \"" + std::string(100'000'000, 'x'));
  EXPECT_THAT(error, HasSubstr("rows.json line 2"));
  EXPECT_THAT(error, HasSubstr("too long"));
  EXPECT_LT(error.size(), 1000U);
}

TEST_F(DatasetTest, EmptyEvalAnswerIsAWarning) {
  write("a.train.json", ssr_row("1"));
  write("a.eval.json", ssr_row("1", "other", "") + "\n" + ssr_row("2", "third"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("a").eval.size(), 2U);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("1 of 2 eval rows have an empty answer"));
}

TEST_F(DatasetTest, EvalPromptsSeenInTrainingAreCounted) {
  write("a.train.json", ssr_row("1") + "\n" + ssr_row("2", "b"));
  write("a.eval.json", ssr_row("9") + "\n" + ssr_row("2", "c"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("a").num_leaked, 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("1 of 2 eval prompts are also train prompts"));
}

TEST_F(DatasetTest, LeaksAreCountedAmongTheRowsThatAreUsed) {
  std::string rows;
  for (int i = 0; i < 20; ++i) {
    rows += ssr_row(std::to_string(i), "p" + std::to_string(i)) + "\n";
  }
  write("a.train.json", rows);
  write("a.eval.json", rows);
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("a").num_leaked, 20);
  EXPECT_EQ(read("a", {.max_train_samples = 8, .max_eval_samples = 0}).num_leaked, 8);
  EXPECT_EQ(read("a", {.max_train_samples = 8, .max_eval_samples = 5}).num_leaked, 5);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("20 of 20 eval prompts are also train prompts"));
  EXPECT_THAT(said, HasSubstr("8 of 20 eval"));
  EXPECT_THAT(said, HasSubstr("5 of 5 eval"));
}

TEST_F(DatasetTest, TrainRowsAloneAreThoseOfTheTask) {
  write("a.train.json", ssr_row("1") + "\n" + ssr_row("2", "b"));
  write("a.eval.json", "not read");
  ASSERT_EQ(Dataset(folder_).read_train("a", 0).size(), 2U);
  EXPECT_EQ(Dataset(folder_).read_train("a", 1).size(), 1U);
  std::string rows;
  for (int i = 0; i < 50; ++i) {
    rows += ssr_row(std::to_string(i), "p" + std::to_string(i)) + "\n";
  }
  write("rows.json", rows);
  write("dataset_info.json", R"({"t": {"file_name": "rows.json", "formatting": "ssr"}})");
  const std::vector<Example> expected = read("t").train;
  const std::vector<Example> found = Dataset(folder_).read_train("t", 0);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].id, expected[i].id);
  }
}

TEST_F(DatasetTest, FilesMayLieOutsideTheFolder) {
  const std::filesystem::path outside = folder_.string() + "_outside.json";
  std::ofstream(outside) << ssr_row("1");
  for (const std::string& name : {outside.string(), "../" + outside.filename().string()}) {
    write("dataset_info.json", R"({"t": {"formatting": "ssr", "train_file": ")" + name + "\"}}");
    EXPECT_EQ(read("t").train.size(), 1U) << name;
  }
  std::filesystem::remove(outside);
}

TEST_F(DatasetTest, OneFileSplitsAlikeWhateverTrainRowsSays) {
  std::string rows;
  for (int i = 0; i < 50; ++i) {
    rows += ssr_row(std::to_string(i), "p" + std::to_string(i)) + "\n";
  }
  write("rows.json", rows);
  const auto split = [&](const std::string& keys) {
    write("dataset_info.json",
          R"({"t": {"file_name": "rows.json", "formatting": "ssr")" + keys + "}}");
    return read("t");
  };
  const auto ids = [](const std::vector<Example>& examples) {
    std::vector<std::string> result;
    for (const Example& example : examples) {
      result.push_back(example.id);
    }
    return result;
  };
  const TaskData usual = split("");
  EXPECT_EQ(usual.eval.size(), 10U);  // a fifth
  EXPECT_EQ(usual.train.size(), 40U);
  std::vector<std::string> all = ids(usual.train);
  const std::vector<std::string> eval_ids = ids(usual.eval);
  all.insert(all.end(), eval_ids.begin(), eval_ids.end());
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 50U);
  EXPECT_EQ(ids(split("").eval), eval_ids);
  const TaskData small = split(R"(, "train_rows": 5, "eval_rows": 10)");
  EXPECT_EQ(ids(small.eval), eval_ids);
  EXPECT_EQ(ids(small.train), std::vector<std::string>(all.begin(), all.begin() + 5));
  EXPECT_TRUE(split(R"(, "eval_rows": 0)").eval.empty());
  EXPECT_EQ(split(R"(, "eval_rows": 49)").train.size(), 1U);
  for (const std::string keys :
       {R"(, "eval_rows": 50)", R"(, "eval_rows": 51)", R"(, "train_rows": 41)",
        R"(, "train_rows": 9223372036854775807)"}) {
    EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { split(keys); }), HasSubstr("too few rows"))
        << keys;
  }
}

TEST_F(DatasetTest, BigBenchTargetsAndChoices) {
  const std::string file = R"({"name": "x", "task_prefix": "Definition: D. \n", "examples": [
      {"input": "i1", "target": ["a", "b"]},
      {"input": "i2", "target_scores": {"wrong": 0, "best": 1, "also": 1}},
      {"input": "", "target_scores": {"x": -2.5, "y": -3}},
      {"input": "i4", "target": "t", "target_scores": {"t": 1, "s": 0}, "comment": "c"}]})";
  const std::vector<Example> rows = read_as("bigbench", file).train;
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].conversation[0].text, "Definition: D.\ni1");
  EXPECT_THAT(rows[0].references, ElementsAre("a", "b"));
  EXPECT_EQ(rows[0].id, "row-1");
  EXPECT_EQ(rows[1].conversation[0].text,
            "Definition: D.\ni2\n  choice: also\n  choice: best\n  choice: wrong");
  EXPECT_THAT(rows[1].references, ElementsAre("also", "best"));
  EXPECT_EQ(rows[2].conversation[0].text, "Definition: D.\nchoice: x\n  choice: y");
  EXPECT_THAT(rows[2].references, ElementsAre("x"));
  EXPECT_THAT(rows[3].references, ElementsAre("t"));
}

TEST_F(DatasetTest, BigBenchFlagsMayBeStrings) {
  const auto text_with = [&](const std::string& flag) {
    return read_as("bigbench", R"({"append_choices_to_input": )" + flag +
                                   R"(, "examples": [{"input": "i", "target_scores": {"a": 1}}]})")
        .train.at(0)
        .conversation.at(0)
        .text;
  };
  for (const std::string flag : {"false", R"("false")", R"("False")"}) {
    EXPECT_EQ(text_with(flag), "i");
  }
  for (const std::string flag : {"true", R"("True")", "null"}) {
    EXPECT_EQ(text_with(flag), "i\n  choice: a");
  }
}

TEST_F(DatasetTest, BigBenchFrameComesFromTheFileOrTheTable) {
  write(
      "task.json",
      R"({"task_prefix": "long", "example_input_prefix": "In: ", "example_output_prefix": "\nOut: ",
      "choice_prefix": " | ", "append_choices_to_input": true,
      "examples": [{"input": "i", "target_scores": {"b": 1, "a": 0}}]})");
  const auto text_with = [&](const std::string& keys) {
    write("dataset_info.json",
          R"({"t": {"train_file": "task.json", "formatting": "bigbench")" + keys + "}}");
    return read("t").train.at(0).conversation.at(0).text;
  };
  EXPECT_EQ(text_with(""), "long\nIn: i | a | b\nOut:");
  EXPECT_EQ(text_with(R"(, "instruction": "Short.")"), "Short.\nIn: i | a | b\nOut:");
  EXPECT_EQ(text_with(R"(, "instruction": "")"), "In: i | a | b\nOut:");
}

TEST_F(DatasetTest, BigBenchBadInput) {
  EXPECT_THAT(data_error_of("bigbench", R"({"name": "SECRET"})"), HasSubstr("holds no examples"));
  EXPECT_THAT(data_error_of("bigbench", R"({"examples": []})"), HasSubstr("empty list"));
  EXPECT_THAT(data_error_of("bigbench", R"(["SECRET"])"), HasSubstr("holds no examples"));
  EXPECT_THAT(data_error_of("bigbench", R"({"examples": [{"input": "SECRET", "target": "x"})"),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(data_error_of("bigbench", R"({"examples": [{"input": "SECRET"}]})"),
              HasSubstr("rows.json example 1"));
  EXPECT_THAT(data_error_of("bigbench", R"({"examples": [{"target": "SECRET"}]})"),
              HasSubstr("\"input\""));
  EXPECT_THAT(
      data_error_of("bigbench", R"({"examples": [{"input": "a", "target": "b"}, "SECRET"]})"),
      HasSubstr("example 2"));
  EXPECT_THAT(data_error_of("bigbench", R"({"examples": [{"input": "a", "target_scores": {}}]})"),
              HasSubstr("empty object"));
  EXPECT_THAT(data_error_of("bigbench",
                            R"({"examples": [{"input": "a", "target_scores": {"SECRET": "1"}}]})"),
              HasSubstr("a score"));
  EXPECT_THAT(
      data_error_of(
          "bigbench",
          R"({"append_choices_to_input": "no", "examples": [{"input": "a", "target": "b"}]})"),
      HasSubstr("true or false"));
}

TEST_F(DatasetTest, TableErrors) {
  write("rows.json", ssr_row("1"));
  const auto table_error = [&](const std::string& entry) {
    write("dataset_info.json", "{\"t\": " + entry + "}");
    return error_of(base::ErrorKind::kData, [&] { read("t"); });
  };
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "formatting": "srr"})"),
              HasSubstr("did you mean \"ssr\"?"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "formatting": "parquet"})"),
              HasSubstr("alpaca, ssr, bigbench, natural_instructions"));
  EXPECT_THAT(table_error(R"({"train_flie": "rows.json"})"),
              HasSubstr("did you mean \"train_file\"?"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "columns": {"promt": "x"}})"),
              HasSubstr("did you mean \"prompt\"?"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "columns": []})"),
              HasSubstr("an object: column -> field"));
  EXPECT_THAT(table_error(R"({"train_file": 7})"), HasSubstr("key \"train_file\""));
  EXPECT_THAT(table_error(R"({"train_file": ""})"), HasSubstr("not empty"));
  EXPECT_THAT(table_error(R"({"file_name": "rows.json", "eval_rows": -1})"),
              HasSubstr("at least 0"));
  EXPECT_THAT(table_error(R"({"file_name": "rows.json", "train_rows": 0})"),
              HasSubstr("at least 1"));
  EXPECT_THAT(table_error(R"({"file_name": "rows.json", "train_rows": "5"})"),
              HasSubstr("a whole number"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "eval_rows": 1})"),
              HasSubstr("\"file_name\" beside them"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "file_name": "rows.json"})"),
              HasSubstr("more than one kind"));
  EXPECT_THAT(table_error(R"({"eval_file": "rows.json"})"), HasSubstr("no file of train rows"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "instruction": "x"})"),
              HasSubstr("no effect"));
  EXPECT_THAT(table_error(R"({"hf_hub_url": "someone/something"})"), HasSubstr("a download"));
  EXPECT_THAT(table_error(R"({"train_file": "rows.json", "ranking": true})"),
              HasSubstr("preference training"));
  EXPECT_THAT(table_error(R"({"train_file": "missing.json"})"), HasSubstr("missing.json"));
  EXPECT_THAT(table_error(R"({"train_file": "."})"), HasSubstr("not a regular file"));
  EXPECT_THAT(table_error("7"), HasSubstr("not an object"));
  write("dataset_info.json", "[]");
  EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { Dataset dataset(folder_); }),
              HasSubstr("not a table"));
  write("dataset_info.json", "{\"a\": {}, \"a\": {}}");
  EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { Dataset dataset(folder_); }),
              HasSubstr("twice"));
}

TEST_F(DatasetTest, ForeignEntriesDoNoHarmUntilAskedFor) {
  write("rows.json", ssr_row("1"));
  write("dataset_info.json", R"({
      "hub": {"hf_hub_url": "a/b", "formatting": "sharegpt", "tags": {"role_tag": "from"}},
      "odd": {"file_name": "none.json", "some_new_key": 1},
      "t": {"train_file": "rows.json", "formatting": "ssr", "ranking": false, "subset": "x"}})");
  EXPECT_EQ(Dataset(folder_).task_names().size(), 3U);
  EXPECT_EQ(read("t").train.size(), 1U);
}

TEST_F(DatasetTest, NamesThatAreNoFileNamesAreRefused) {
  for (const std::string name : {"../x", "a b", "a,b", ".a", ""}) {
    write("rows.json", ssr_row("1"));
    write("dataset_info.json",
          "{\"" + name + R"(": {"train_file": "rows.json", "formatting": "ssr"}})");
    EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { read(name); }), HasSubstr("file name"))
        << name;
  }
}

TEST_F(DatasetTest, MissingFolderOrTaskIsSaid) {
  EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { Dataset dataset(folder_ / "none"); }),
              HasSubstr("data.dataset_dir"));
  EXPECT_THAT(error_of(base::ErrorKind::kData, [&] { Dataset dataset(folder_); }),
              HasSubstr("names no task"));
  EXPECT_THAT(error_of(base::ErrorKind::kUsage, [&] { Dataset(kSamples).read_task("revers", {}); }),
              HasSubstr("did you mean \"reverse\"?"));
}

TEST(BenchmarkData, EveryTaskReads) {
  const std::filesystem::path folder = test::benchmark_folder();
  if (!std::filesystem::is_directory(folder)) {
    GTEST_SKIP() << test::kNoBenchmarkRows << folder;
  }
  const Dataset dataset(folder);
  EXPECT_THAT(dataset.task_names(),
              ElementsAre("dsg", "expl", "para", "pe", "pos", "qa", "qg", "sa", "sum", "trans"));
  for (const std::string& name : dataset.task_names()) {
    const TaskData task = dataset.read_task(name, {});
    EXPECT_EQ(task.train.size(), name == "qg" || name == "sum" ? 200U : 2000U) << name;
    EXPECT_EQ(task.eval.size(), 500U) << name;
  }
}

}  // namespace
}  // namespace baton::data
