#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/checkpoint/buffer_file.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/device/host.hpp"
#include "baton/run/inspect.hpp"
#include "baton/run/run_record.hpp"
#include "unit/checkpoint/checkpoint_fixture.hpp"

namespace baton::run {
namespace {

using namespace checkpoint;  // the fixture and its small files

using ::testing::HasSubstr;

class RunFolderTest : public CheckpointTest {
 protected:
  RunFolder make_run() {
    RunRecord record;
    record.config = {{"train.seed", "7"}, {"lora.lora_rank", "2"}};
    record.tasks = {"qa", "sum"};
    RunFolder run = RunFolder::create(folder_ / "run", record);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
    run.save();
    return run;
  }
};

MadeBy some_maker() {
  MadeBy made_by = made_here();
  made_by.num_ranks = 2;
  made_by.threads_per_rank = 1;
  made_by.seconds = 1.5;
  return made_by;
}

TEST(TaskFileStem, TwoDigitsAndMoreFromOneHundredOn) {
  EXPECT_EQ(task_file_stem(0, "qa"), "01-qa");
  EXPECT_EQ(task_file_stem(98, "qa"), "99-qa");
  EXPECT_EQ(task_file_stem(99, "qa"), "100-qa");
  EXPECT_EQ(task_file_stem(4, "natural instructions v2.8"), "05-natural instructions v2.8");
}

TEST(TaskFileStem, RefusesWhatCannotBeAFileName) {
  for (const std::string& bad :
       {std::string(), std::string("a/b"), std::string("a\\b"), std::string(".qa"),
        std::string("a..b"), std::string("a\nb"), std::string("a\0b", 3), std::string(101, 'x'),
        std::string("\xff")}) {
    EXPECT_EQ(error_of([&] { task_file_stem(0, bad); }).kind(), base::ErrorKind::kUsage) << bad;
  }
  EXPECT_EQ(task_file_stem(0, std::string(100, 'x')).size(), 103U);
}

TEST_F(RunFolderTest, RecordComesBackAlsoAfterAMove) {
  RunFolder run = make_run();
  checkpoint::save_expert(run.expert_path("qa"), small_expert(1));
  run.record().warnings = {"w"};
  run.record_file(run.expert_file("qa"), "qa", "print", some_maker());
  const std::string text = read_all(folder_ / "run/run.json");
  EXPECT_EQ(text.find(folder_.string()), std::string::npos) << "only relative paths";
  std::filesystem::rename(folder_ / "run", folder_ / "moved");
  const RunFolder moved = RunFolder::load(folder_ / "moved");
  EXPECT_EQ(moved.record().config.at("train.seed"), "7");
  EXPECT_EQ(moved.record().tasks, (std::vector<std::string>{"qa", "sum"}));
  EXPECT_EQ(moved.record().warnings, (std::vector<std::string>{"w"}));
  const FileRecord& file = moved.record().files.at("experts/01-qa.h5");
  EXPECT_EQ(file.sha256, base::sha256_file(folder_ / "moved/experts/01-qa.h5"));
  EXPECT_EQ(file.fingerprint, "print");
  EXPECT_EQ(file.made_by.num_ranks, 2);
  EXPECT_EQ(file.made_by.seconds, 1.5);
  EXPECT_EQ(file.made_by.host, device::host_name());
  EXPECT_TRUE(moved.verify("experts/01-qa.h5"));
  EXPECT_EQ(moved.buffer_path("sum"), folder_ / "moved/buffers/02-sum.h5");
  EXPECT_EQ(moved.paths().log_file(1), "logs/02-sum.jsonl");
  EXPECT_EQ(moved.checkpoint_folder("sum"), "checkpoints/02-sum");
}

TEST_F(RunFolderTest, ConditionsOfAFile) {
  RunFolder run = make_run();
  const std::string file = run.expert_file("qa");
  EXPECT_EQ(run.condition_of(file), FileCondition::kAbsent);
  checkpoint::save_expert(run.path_of(file), small_expert(1));
  EXPECT_EQ(run.condition_of(file), FileCondition::kUnrecorded);
  EXPECT_FALSE(run.verify(file));
  run.record_file(file, "qa", "", some_maker());
  EXPECT_EQ(run.condition_of(file), FileCondition::kOk);
  checkpoint::save_expert(run.path_of(file), small_expert(2));
  EXPECT_EQ(run.condition_of(file), FileCondition::kDamaged);
  EXPECT_EQ(error_of([&] { run.verify(file); }).kind(), base::ErrorKind::kModel);
  std::filesystem::remove(run.path_of(file));
  EXPECT_EQ(run.condition_of(file), FileCondition::kMissing);
  EXPECT_EQ(error_of([&] { run.verify(file); }).kind(), base::ErrorKind::kModel);
}

TEST_F(RunFolderTest, TasksAreOnlyAddedAtTheEnd) {
  RunFolder run = make_run();
  run.extend_tasks({"qa", "sum", "trans"});
  EXPECT_EQ(run.expert_file("trans"), "experts/03-trans.h5");
  EXPECT_EQ(error_of([&] {
              run.extend_tasks({"sum", "qa", "trans"});
            }).kind(),
            base::ErrorKind::kUsage);
  EXPECT_EQ(error_of([&] { run.extend_tasks({"qa"}); }).kind(), base::ErrorKind::kUsage);
  EXPECT_THAT(error_of([&] {
                run.extend_tasks({"qa", "sum", "trans", "qa"});
              })
                  .details()
                  .found,
              HasSubstr("qa twice"));
  EXPECT_THAT(error_of([&] { run.expert_file("trns"); }).details().fix, HasSubstr("trans"));
}

TEST_F(RunFolderTest, ReplacementsKeepEveryOldFile) {
  RunFolder run = make_run();
  EXPECT_EQ(run.replacement_of("qa"), nullptr);
  for (int i = 1; i <= 2; ++i) {
    const std::string number = std::to_string(i);
    checkpoint::save_expert(run.expert_path("qa"), small_expert(i));
    run.record_file(run.expert_file("qa"), "qa", "print" + number, some_maker());
    run.note_replacement("qa", "asked" + number, {run.expert_file("qa"), run.buffer_file("qa")});
    run.save();
    run.finish_replacements();
    EXPECT_EQ(run.condition_of(run.expert_file("qa")), FileCondition::kAbsent);
    EXPECT_EQ(run.replacement_of("qa")->asked, "asked" + number);
  }
  const RunFolder again = RunFolder::load(folder_ / "run");
  ASSERT_EQ(again.record().replaced.size(), 2U);
  const Replacement& second = again.record().replaced[1];
  EXPECT_EQ(second.asked, "asked2");
  EXPECT_TRUE(second.moved);
  ASSERT_EQ(second.files.size(), 1U) << "there was no buffer";
  EXPECT_EQ(second.files[0].from, "experts/01-qa.h5");
  EXPECT_EQ(second.files[0].to, "experts/replaced/01-qa.2.h5");
  EXPECT_EQ(second.files[0].sha256, base::sha256_file(again.path_of(second.files[0].to)));
  EXPECT_EQ(
      checkpoint::load_expert(again.path_of(again.record().replaced[0].files[0].to)).arrays.size(),
      4U);
  EXPECT_EQ(checkpoint::load_expert(again.path_of(second.files[0].to)).arrays.size(), 8U);
}

// Noted and saved, but the program ended before, between or after the moves.
TEST_F(RunFolderTest, AReplacementThatWasCutOffIsFinished) {
  for (int num_moved = 0; num_moved <= 2; ++num_moved) {
    std::filesystem::remove_all(folder_ / "run");
    RunFolder run = make_run();
    const std::vector<std::string> files{run.expert_file("qa"), run.expert_file("sum")};
    for (const std::string& file : files) {
      checkpoint::save_expert(run.path_of(file), small_expert(1));
      run.record_file(file, "qa", "print", some_maker());
    }
    run.note_replacement("qa", "new", {files[0]});
    run.note_replacement("sum", "new", {files[1]});
    run.save();
    for (int i = 0; i < num_moved; ++i) {
      const ReplacedFile& file = run.record().replaced[static_cast<std::size_t>(i)].files[0];
      std::filesystem::create_directories(run.path_of(file.to).parent_path());
      std::filesystem::rename(run.path_of(file.from), run.path_of(file.to));
    }
    RunFolder again = RunFolder::load(folder_ / "run");
    EXPECT_FALSE(again.has(files[0])) << "not in the way of what was asked for";
    EXPECT_EQ(again.condition_of(files[1]), FileCondition::kAbsent);
    again.finish_replacements();
    EXPECT_TRUE(std::filesystem::exists(folder_ / "run/experts/replaced/01-qa.1.h5"));
    EXPECT_TRUE(std::filesystem::exists(folder_ / "run/experts/replaced/02-sum.1.h5"));
    EXPECT_TRUE(RunFolder::load(folder_ / "run").record().replaced[1].moved);
  }
}

TEST_F(RunFolderTest, TheRecordOfTheVersionBeforeIsRead) {
  make_run();
  const std::filesystem::path path = folder_ / "run/run.json";
  base::Json json = base::Json::parse(read_all(path));
  json["format_version"] = 1;
  json["replaced"] = {{{"task", "qa"},
                       {"from", "experts/01-qa.h5"},
                       {"to", "experts/replaced/01-qa.1.h5"},
                       {"fingerprint", "f"},
                       {"time", "t"}}};
  write_all(path, json.dump());
  const RunFolder run = RunFolder::load(folder_ / "run");
  EXPECT_TRUE(run.replacement_of("qa")->moved);
  EXPECT_EQ(run.replacement_of("qa")->files[0].to, "experts/replaced/01-qa.1.h5");
  json["replaced"][0]["to"] = "../x.h5";
  write_all(path, json.dump());
  EXPECT_EQ(error_of([&] { RunFolder::load(folder_ / "run"); }).kind(), base::ErrorKind::kModel);
}

TEST_F(RunFolderTest, BadRunJsonIsRefusedInWords) {
  EXPECT_EQ(error_of([&] { RunFolder::load(folder_); }).kind(), base::ErrorKind::kUsage);
  make_run();
  EXPECT_EQ(error_of([&] { make_run(); }).kind(), base::ErrorKind::kUsage);
  const std::filesystem::path path = folder_ / "run/run.json";
  const std::string good = read_all(path);
  const auto refused = [&](const std::string& text) {
    write_all(path, text);
    const base::Error error = error_of([&] { RunFolder::load(folder_ / "run"); });
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << text;
    EXPECT_FALSE(error.details().fix.empty());
    return error;
  };
  refused(good.substr(0, good.size() / 2));
  refused("");
  refused("[]");
  refused("{\"format_version\": 1}");
  refused("{\"format_version\": 0}");
  EXPECT_THAT(refused("{\"format_version\": 3}").summary(), HasSubstr("newer version"));
  base::Json json = base::Json::parse(good);
  json["tasks"] = {1, 2};
  refused(json.dump());
  json["tasks"] = base::Json::array();
  EXPECT_EQ(refused(json.dump()).details().found, "no task");
  json["tasks"] = {"qa", "sum", "qa"};
  EXPECT_EQ(refused(json.dump()).details().found, "qa twice");
  json["tasks"] = {"qa", "../sum"};
  refused(json.dump());
  json = base::Json::parse(good);
  json["files"]["../x.h5"] = base::Json::object();
  EXPECT_EQ(refused(json.dump()).details().found, "../x.h5");
  json["files"] = {{"/etc/x.h5", base::Json::object()}};
  EXPECT_EQ(refused(json.dump()).details().found, "/etc/x.h5");
}

TEST_F(RunFolderTest, InspectSeesWholeAndDamagedFiles) {
  RunFolder run = make_run();
  checkpoint::save_expert(run.expert_path("qa"), small_expert(1));
  run.record_file(run.expert_file("qa"), "qa", small_expert().identity.fingerprint(), some_maker());
  data::RehearsalBuffer buffer = small_buffer();
  buffer.task = "qa";  // that of another task would be damage, too
  checkpoint::save_buffer(run.buffer_path("qa"), buffer);
  run.record_file(run.buffer_file("qa"), "qa", buffer.fingerprint(), some_maker());
  base::OrderedJson facts = inspect_path(folder_ / "run");
  EXPECT_EQ(facts["condition"], "ok");
  EXPECT_EQ(facts["experts"][0]["content"]["steps"], 42);
  EXPECT_EQ(facts["experts"][1]["condition"], "absent");
  EXPECT_EQ(facts["buffers"][0]["content"]["num_rows"], 3);
  std::ostringstream table;
  print_inspection(facts, table);
  EXPECT_THAT(table.str(), HasSubstr("01-qa"));
  EXPECT_THAT(table.str(), HasSubstr("lora.lora_rank"));

  std::string bytes = read_all(run.expert_path("qa"));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_all(run.expert_path("qa"), bytes);
  facts = inspect_path(folder_ / "run");
  EXPECT_EQ(facts["condition"], "damaged");
  EXPECT_EQ(facts["experts"][0]["condition"], "damaged");
  std::ostringstream again;
  print_inspection(facts, again);
  EXPECT_THAT(again.str(), HasSubstr("damaged"));
}

TEST_F(RunFolderTest, InspectSingleFiles) {
  checkpoint::save_expert(folder_ / "e.h5", small_expert(1));
  checkpoint::save_buffer(folder_ / "b.h5", small_buffer());
  write_all(folder_ / "results.json",
            R"({"tasks":["qa","sum"],"matrix":[[1,2],[30.5,4],[5,null]],"AR":5,"FWT":null})");
  write_all(folder_ / "bad.h5", "not HDF5");
  write_all(folder_ / "bad.json", "{}");
  const auto shown = [&](const char* name) {
    std::ostringstream text;
    print_inspection(inspect_path(folder_ / name), text);
    return text.str();
  };
  EXPECT_EQ(inspect_path(folder_ / "e.h5")["kind"], "expert");
  EXPECT_EQ(inspect_path(folder_ / "b.h5")["num_task_rows"], 30);
  EXPECT_THAT(shown("e.h5"), HasSubstr("identity.learning_rate"));
  EXPECT_THAT(shown("b.h5"), HasSubstr("selection"));
  EXPECT_THAT(shown("results.json"), HasSubstr("30.50"));
  EXPECT_EQ(inspect_path(folder_ / "bad.h5")["condition"], "damaged");
  EXPECT_EQ(inspect_path(folder_ / "bad.json")["condition"], "damaged");
  EXPECT_THAT(shown("bad.h5"), HasSubstr("damaged"));
  EXPECT_EQ(error_of([&] { inspect_path(folder_ / "none"); }).kind(), base::ErrorKind::kUsage);
  EXPECT_EQ(error_of([&] { inspect_path(folder_); }).kind(), base::ErrorKind::kUsage);
}

TEST(MadeHere, NamesTheLibraries) {
  EXPECT_THAT(made_here().libraries.at("hdf5"), HasSubstr("."));
}

}  // namespace
}  // namespace baton::run
