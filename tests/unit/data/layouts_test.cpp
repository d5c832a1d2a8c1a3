// The layouts of published benchmarks: what the samples become, and every way a file can be wrong.

#include "dataset_fixture.hpp"

namespace baton::data {
namespace {

using base::ErrorKind;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TaskData sample(const std::string& name) {
  return Dataset(kSamples).read_task(name, {});
}

TEST(LayoutSamples, NaturalInstructions) {
  const TaskData task = sample("effects");
  EXPECT_EQ(task.train.size(), 6U);
  EXPECT_EQ(task.eval.size(), 3U);
  const Example& row = task.train.front();
  EXPECT_THAT(
      row.conversation[0].text,
      testing::StartsWith("You are given a cause. Write a short sentence with its effect.\n\n"));
  EXPECT_THAT(row.id, testing::StartsWith("effects-"));
  EXPECT_THAT(row.origin, HasSubstr("effects.task.json instance "));
}

TEST(LayoutSamples, OLora) {
  const TaskData task = sample("moods");
  EXPECT_EQ(task.train.size(), 6U);
  EXPECT_EQ(task.eval.size(), 2U);
  EXPECT_EQ(task.train[1].conversation[0].text,
            "What feeling does the following text express? Choose an option.\n"
            "Option: good, bad \nThe food was cold and late.\nAnswer:");
  EXPECT_THAT(task.train[1].references, ElementsAre("bad"));
  EXPECT_THAT(task.train[1].options, ElementsAre("good", "bad"));
  EXPECT_EQ(task.metric, "accuracy");
}

TEST(LayoutSamples, Trace) {
  const TaskData task = sample("stance");
  EXPECT_EQ(task.train.size(), 4U);
  ASSERT_EQ(task.eval.size(), 2U);
  EXPECT_THAT(task.eval[0].origin, HasSubstr("stance/test.json"));
  EXPECT_EQ(task.eval[0].conversation[0].text,
            "Does this say that prices go up or down?\nText:\nTickets cost more.\nAnswer:\n");
  EXPECT_THAT(task.labels, ElementsAre("up", "down"));
}

TEST(LayoutSamples, Conversations) {
  const TaskData chat = sample("chat");
  ASSERT_EQ(chat.train.size(), 3U);
  EXPECT_EQ(chat.train[0].conversation[0].role, "system");
  EXPECT_EQ(chat.train[0].conversation[1].text, "Which animal barks?");
  EXPECT_THAT(chat.train[0].references, ElementsAre("Dog"));
  ASSERT_EQ(chat.train[1].conversation.size(), 3U);
  EXPECT_EQ(chat.train[1].conversation[1].role, "assistant");
  EXPECT_THAT(chat.train[1].references, ElementsAre("Pear"));
  const TaskData talk = sample("talk");
  ASSERT_EQ(talk.train.size(), 2U);
  EXPECT_EQ(talk.train[0].conversation[1].role, "user");
  EXPECT_THAT(talk.train[0].references, ElementsAre("Ice"));
}

TEST(LayoutSamples, MultipleChoice) {
  const TaskData animals = sample("animals");
  ASSERT_EQ(animals.train.size(), 2U);
  EXPECT_EQ(animals.train[1].conversation[0].text,
            "Which of these, by habit, sleeps in winter?\nA. A cow\nB. A cat\nC. A hedgehog\n"
            "D. A horse\nAnswer:");
  EXPECT_THAT(animals.train[1].references, ElementsAre("C"));
  EXPECT_THAT(animals.train[1].options, ElementsAre("A", "B", "C", "D"));
  EXPECT_THAT(animals.eval[1].conversation[0].text, HasSubstr("\"man's best friend\"?"));
  const TaskData plants = sample("plants");
  EXPECT_EQ(plants.train.size() + plants.eval.size(), 3U);
  for (const std::vector<Example>* rows : {&plants.train, &plants.eval}) {
    for (const Example& row : *rows) {
      EXPECT_EQ(row.references[0], row.options.size() == 3 ? "B" : "A");
    }
  }
}

TEST_F(DatasetTest, NaturalInstructionsErrors) {
  const auto error = [&](const std::string& content) {
    return data_error_of("natural_instructions", content);
  };
  EXPECT_THAT(error("[1]"), HasSubstr("a Natural Instructions file holds no instances"));
  EXPECT_THAT(error(R"({"Definition": ["a"]})"), HasSubstr("no such list"));
  EXPECT_THAT(error(R"({"Definition": ["a"], "Instances": []})"), HasSubstr("or an empty one"));
  EXPECT_THAT(error(R"({"Instances": [{"input": "SECRET", "output": ["b"]}]})"),
              HasSubstr("\"Definition\""));
  EXPECT_THAT(error(R"({"Definition": 7, "Instances": [{"input": "SECRET", "output": ["b"]}]})"),
              HasSubstr("\"Definition\" has the wrong type"));
  EXPECT_THAT(error(R"({"Definition": "a", "Instances": [{"input": "b", "output": "c"}, 5]})"),
              AllOf(HasSubstr("instance 2"), HasSubstr("not a JSON object")));
  EXPECT_THAT(error(R"({"Definition": "a", "Instances": [{"output": ["SECRET"]}]})"),
              AllOf(HasSubstr("instance 1"), HasSubstr("\"input\"")));
  EXPECT_THAT(error(R"({"Definition": "a", "Instances": [{"input": "SECRET"}]})"),
              HasSubstr("\"output\""));
  EXPECT_THAT(error(R"({"Definition": "a", "Instances": [{"input": "SECRET", "output": []}]})"),
              HasSubstr("empty list"));
  EXPECT_THAT(error(R"({"Definition": "a", "Instances": [{"input": "SECRET", "output": [" "]}]})"),
              HasSubstr("the answer of a train row is empty"));
}

TEST_F(DatasetTest, OLoraErrors) {
  std::filesystem::create_directories(folder_ / "SC/x");
  write("dataset_info.json", R"({"x": {"formatting": "olora"}})");
  const auto error = [&](const std::string& rows, const std::string& labels) {
    write("SC/x/train.json", rows);
    write("SC/x/test.json", rows);
    write("SC/x/labels.json", labels);
    return error_of(ErrorKind::kData, [&] { read("x"); });
  };
  EXPECT_THAT(error(R"([{"sentence": "SECRET", "label": "c"}])", R"(["a", "b"])"),
              AllOf(HasSubstr("train.json line 1"), HasSubstr("not one of the data set's")));
  EXPECT_THAT(error(R"([{"label": "a"}])", R"(["a", "b"])"), HasSubstr("\"sentence\""));
  EXPECT_THAT(error(R"([{"sentence": "SECRET"}])", R"(["a", "b"])"), HasSubstr("\"label\""));
  EXPECT_THAT(error(R"([{"sentence": "SECRET", "label": "a"}])", R"({"a": 1})"),
              HasSubstr("labels.json"));
  EXPECT_THAT(error(R"([{"sentence": "SECRET", "label": "a"}])", "[]"), HasSubstr("empty list"));
  std::filesystem::remove(folder_ / "SC/x/labels.json");
  EXPECT_THAT(error_of(ErrorKind::kData, [&] { read("x"); }), HasSubstr("labels.json"));
  std::filesystem::rename(folder_ / "SC", folder_ / "ZZ");
  write("ZZ/x/labels.json", R"(["a"])");
  EXPECT_THAT(error_of(ErrorKind::kData, [&] { read("x"); }),
              AllOf(HasSubstr("BoolQA, COPA"), HasSubstr("\"ZZ\""), HasSubstr("\"instruction\"")));
  write("dataset_info.json", R"({"x": {"formatting": "olora", "instruction": "Say a."}})");
  EXPECT_THAT(read("x").train[0].conversation[0].text, testing::StartsWith("Say a.\nOption: a \n"));
  std::filesystem::create_directories(folder_ / "YY/x");
  write("YY/x/train.json", R"([{"sentence": "SECRET", "label": "a"}])");  // which of the two?
  EXPECT_THAT(error_of(ErrorKind::kData, [&] { read("x"); }), HasSubstr("which files"));
}

TEST_F(DatasetTest, TraceErrors) {
  write("dataset_info.json", R"({"x": {"formatting": "trace"}})");
  EXPECT_THAT(error_of(ErrorKind::kData, [&] { read("x"); }), HasSubstr("x/train.json"));
  EXPECT_THAT(data_error_of("trace", R"([{"prompt": "SECRET"}])"), HasSubstr("\"answer\""));
  EXPECT_THAT(data_error_of("trace", R"([{"answer": "SECRET"}])"), HasSubstr("\"prompt\""));
  EXPECT_THAT(data_error_of("trace", R"([{"prompt": 1, "answer": "SECRET"}])"),
              AllOf(HasSubstr("line 1"), HasSubstr("wrong type")));
  EXPECT_THAT(data_error_of("trace", R"([{"prompt": "a", "answer": ""}])"),
              HasSubstr("the answer of a train row is empty"));
}

TEST_F(DatasetTest, ConversationErrors) {
  const auto error = [&](const std::string& turns) {
    return data_error_of("sharegpt", R"({"conversations": )" + turns + "}");
  };
  const std::string human = R"({"from": "human", "value": "SECRET"})";
  const std::string gpt = R"({"from": "gpt", "value": "SECRET"})";
  EXPECT_THAT(data_error_of("sharegpt", R"({"messages": []})"), HasSubstr("\"conversations\""));
  EXPECT_THAT(data_error_of("messages", R"({"messages": "SECRET"})"), HasSubstr("a string"));
  EXPECT_THAT(error("[]"), HasSubstr("not in order"));
  EXPECT_THAT(error("[" + human + "]"), HasSubstr("1 turns"));
  EXPECT_THAT(error("[" + gpt + "," + human + "]"), HasSubstr("not in order"));
  EXPECT_THAT(error("[" + human + "," + human + "]"), HasSubstr("not in order"));
  EXPECT_THAT(error("[" + human + "," + gpt + "," + human + "]"), HasSubstr("3 turns"));
  EXPECT_THAT(error("[" + human + R"(, {"from": "tool", "value": "SECRET"}])"),
              AllOf(HasSubstr("turn 2"), HasSubstr("role that is not known")));
  EXPECT_THAT(error("[5]"), AllOf(HasSubstr("turn 1"), HasSubstr("not a JSON object")));
  EXPECT_THAT(error(R"([{"from": "human"}])"), HasSubstr("\"value\""));
  EXPECT_THAT(error(R"([{"role": "user"}])"), HasSubstr("\"content\""));
  EXPECT_THAT(error("[" + human + R"(, {"from": "gpt", "value": " "}])"),
              HasSubstr("the answer of a train row is empty"));
}

TEST_F(DatasetTest, MultipleChoiceErrors) {
  const auto csv_error = [&](const std::string& content) {
    write("rows.csv", content);
    write("dataset_info.json", R"({"t": {"train_file": "rows.csv", "formatting": "mmlu"}})");
    return error_of(ErrorKind::kData, [&] { read("t"); });
  };
  EXPECT_THAT(csv_error("q,a,b,c,d,A\nSECRET,a,b,c,D\n"),
              AllOf(HasSubstr("rows.csv line 2"), HasSubstr("6: question"), HasSubstr("5")));
  EXPECT_THAT(csv_error("q,a,b,c,d,A\n\"two\nlines\",a,b,c,d,B\nSECRET,a,b,c,d,E\n"),
              AllOf(HasSubstr("rows.csv line 4"), HasSubstr("none of the choices")));
  EXPECT_THAT(csv_error("question,A,B,C,D,answer\n"), HasSubstr("no header line"));
  EXPECT_THAT(csv_error("\"SECRET,a,b,c,d,A\n"), HasSubstr("does not end"));
  EXPECT_THAT(csv_error("\"SECRET\" x,a,b,c,d,A\n"), HasSubstr("text follows a quoted field"));
  EXPECT_THAT(csv_error(" ,a,b,c,d,A\n"), HasSubstr("a question is empty"));
  EXPECT_THAT(data_error_of("mmlu", R"({"question": "SECRET", "answer": 0})"),
              HasSubstr("\"choices\""));
  EXPECT_THAT(data_error_of("mmlu", R"({"question": "SECRET", "choices": ["a"], "answer": 0})"),
              HasSubstr("from 2 to 26"));
  EXPECT_THAT(
      data_error_of("mmlu", R"({"question": "SECRET", "choices": ["a", "b"], "answer": 2})"),
      AllOf(HasSubstr("line 1"), HasSubstr("from 0 to 1")));
  EXPECT_THAT(data_error_of("mmlu", R"({"question": "SECRET", "choices": ["a", "b"]})"),
              HasSubstr("none of the choices"));
  EXPECT_THAT(data_error_of("mmlu", R"({"question": "", "choices": ["a", "b"], "answer": "A"})"),
              HasSubstr("a question is empty"));
}

TEST_F(DatasetTest, LongRowsAreLeftOut) {
  write("rows.json", R"([{"prompt": "a b c", "answer": "x"}, {"prompt": "a b c d", "answer": "x"},
                         {"prompt": "e", "answer": "x y z"}, {"prompt": "f", "answer": "x"}])");
  const auto table = [&](const std::string& limits) {
    write("dataset_info.json",
          R"({"t": {"train_file": "rows.json", "formatting": "trace", )" + limits + "}}");
  };
  table(R"("max_prompt_words": 3, "max_answer_words": 2)");
  const TaskData task = read("t");
  ASSERT_EQ(task.train.size(), 2U);
  EXPECT_EQ(task.train[1].id, "row-4");  // its place in the file
  table(R"("max_answer_words": 1, "max_prompt_words": 1)");
  EXPECT_EQ(read("t").train.size(), 1U);
  write("rows.json", R"([{"prompt": "a b c", "answer": "x"}])");
  EXPECT_THAT(error_of(ErrorKind::kData, [&] { read("t"); }), HasSubstr("leave no row"));
}

TEST_F(DatasetTest, TheSplitFollowsItsSeed) {
  std::string rows;
  for (int i = 0; i < 50; ++i) {
    rows += R"({"prompt": "p)" + std::to_string(i) + R"(", "answer": "a"})" + "\n";
  }
  write("rows.json", rows);
  const auto ids = [&](const std::string& seed) {
    write("dataset_info.json", R"({"t": {"file_name": "rows.json", "formatting": "trace",
          "train_rows": 20, "eval_rows": 10)" +
                                   seed + "}}");
    std::vector<std::string> found;
    for (const Example& row : read("t").eval) {
      found.push_back(row.id);
    }
    return found;
  };
  EXPECT_EQ(ids(""), ids(R"(, "split_seed": 42)"));
  EXPECT_NE(ids(""), ids(R"(, "split_seed": 7)"));
  EXPECT_EQ(ids(R"(, "split_seed": 7)"), ids(R"(, "split_seed": 7)"));
}

TEST_F(DatasetTest, ScorersOfEntries) {
  write("rows.json", R"({"prompt": "a", "answer": "x"})");
  const auto error = [&](const std::string& keys) {
    write("dataset_info.json",
          R"({"t": {"train_file": "rows.json", "formatting": "trace", )" + keys + "}}");
    return error_of(ErrorKind::kData, [&] { read("t"); });
  };
  EXPECT_THAT(error(R"("metric": "acuracy")"),
              AllOf(HasSubstr("key \"metric\""), HasSubstr("did you mean \"accuracy\"?")));
  EXPECT_THAT(error(R"("metric": "rouge_l", "labels": ["a"])"), HasSubstr("no effect"));
  EXPECT_THAT(error(R"("labels": [])"), HasSubstr("a list of texts"));
  EXPECT_THAT(error(R"("labels": [1])"), HasSubstr("key \"labels\""));
}

}  // namespace
}  // namespace baton::data
