#include "baton/checkpoint/generation.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "checkpoint_fixture.hpp"
#include "training_state_fixture.hpp"

namespace baton::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class GenerationTest : public CheckpointTest {
 protected:
  fs::path save(std::int64_t step) { return save_generation(folder(), training_state(step)); }
  fs::path folder() const { return folder_ / "checkpoints" / "01-qa"; }
  std::int64_t newest_step() const {
    const auto state = load_newest_generation(folder()).state;
    return state ? state->step : -1;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder())) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // Writes the manifest with a change, and a marker that fits it.
  void change_manifest(const fs::path& generation, const std::function<void(base::Json&)>& change) {
    base::Json json = base::Json::parse(read_all(generation / "manifest.json"));
    change(json);
    write_all(generation / "manifest.json", json.dump());
    write_all(generation / "COMPLETE", base::sha256_hex(json.dump()) + "\n");
  }
};

TEST_F(GenerationTest, GivesBackEveryBit) {
  expert::TrainingState state = training_state(12);
  state.parameters[0] = std::numeric_limits<float>::denorm_min();
  state.parameters[1] = -0.0F;
  state.first_moment[2] = std::numeric_limits<float>::infinity();
  const fs::path path = save_generation(folder(), state);
  EXPECT_EQ(path, folder() / "step-00000012");
  const auto loaded = load_newest_generation(folder());
  ASSERT_TRUE(loaded.state);
  expect_same(*loaded.state, state);
  EXPECT_EQ(loaded.path, path);
  EXPECT_TRUE(loaded.passed_over.empty());
}

TEST_F(GenerationTest, GivesBackWhatValidationsSaid) {
  const expert::TrainingState kept = validated_state(12, 8);
  save_generation(folder(), kept);
  expect_same(*load_newest_generation(folder()).state, kept);
  expert::TrainingState watched = validated_state(13, 8);  // without early stopping
  watched.best_parameters.clear();
  save_generation(folder(), watched);
  expect_same(*load_newest_generation(folder()).state, watched);
  expert::TrainingState impossible = validated_state(14, 8);
  impossible.validation->best_step = 15;
  save_generation(folder(), impossible);
  const auto loaded = load_newest_generation(folder());
  EXPECT_EQ(loaded.state->step, 13);
  EXPECT_THAT(loaded.passed_over, ElementsAre(HasSubstr("best_step")));
}

// What an earlier version wrote is passed over, and the line says why: the expert is trained anew.
TEST_F(GenerationTest, AnOlderFormatIsPassedOverInWords) {
  save(1);
  const fs::path path = save(2);
  change_manifest(path, [](base::Json& json) {
    json["format_version"] = kTrainingStateFormatVersion - 1;
    json["slot"] = 0;
  });
  const auto loaded = load_newest_generation(folder());
  ASSERT_TRUE(loaded.state);
  EXPECT_EQ(loaded.state->step, 1);
  ASSERT_THAT(loaded.passed_over, SizeIs(1));
  EXPECT_THAT(loaded.passed_over[0], HasSubstr("older version"));
  EXPECT_THAT(loaded.passed_over[0], HasSubstr("trained from the beginning"));
  save(2);  // takes its place
  EXPECT_EQ(newest_step(), 2);
}

TEST_F(GenerationTest, NoParametersAndNoUpdates) {
  expert::TrainingState state;
  save_generation(folder(), state);
  const auto loaded = load_newest_generation(folder());
  ASSERT_TRUE(loaded.state);
  expect_same(*loaded.state, state);
}

TEST_F(GenerationTest, SameStateSameBytes) {
  const fs::path a = save_generation(folder_ / "a", training_state(7));
  const fs::path b = save_generation(folder_ / "b", training_state(7));
  for (const char* name : {"state.h5", "manifest.json", "COMPLETE"}) {
    EXPECT_EQ(read_all(a / name), read_all(b / name)) << name;
  }
}

TEST_F(GenerationTest, ManifestNamesSizeSumAndFacts) {
  const fs::path path = save(12);
  const std::string text = read_all(path / "manifest.json");
  const base::Json json = base::Json::parse(text);
  const std::string state = read_all(path / "state.h5");
  EXPECT_EQ(json.at("files").at(0).at("size"), state.size());
  EXPECT_EQ(json.at("files").at(0).at("sha256"), base::sha256_hex(state));
  EXPECT_EQ(json.at("format_version"), kTrainingStateFormatVersion);
  EXPECT_EQ(json.at("step"), 12);
  EXPECT_EQ(json.at("num_updates"), 40);
  EXPECT_EQ(json.at("identity").at("learning_rate"), "0.0002");
  EXPECT_EQ(json.at("fingerprint"), training_state(12).identity.fingerprint());
  EXPECT_EQ(read_all(path / "COMPLETE"), base::sha256_hex(text) + "\n");
}

TEST_F(GenerationTest, H5pyReadsTheState) {
  if (python().empty()) {
    GTEST_SKIP() << "no Python with h5py";
  }
  const fs::path path = save(12);
  const std::string out = output_of(
      python() + " -c \"import h5py; f = h5py.File('" + (path / "state.h5").string() +
      "'); print(sorted(f), f['parameters'].shape, f['first_moment'].dtype, f.attrs['step'], "
      "f.attrs['num_updates'], f['skipped_updates'][:].tolist(), f['parameters'][5])\"");
  EXPECT_EQ(out,
            "['first_moment', 'parameters', 'second_moment', 'skipped_updates'] (1000,) float32 12 "
            "40 [2, 9] 17.0\n");
}

TEST_F(GenerationTest, KeepsTheNewestTwo) {
  for (const std::int64_t step : {1, 2, 3, 4, 5}) {
    save(step);
  }
  EXPECT_THAT(names(), ElementsAre("step-00000004", "step-00000005"));
  EXPECT_EQ(newest_step(), 5);
}

TEST_F(GenerationTest, NamesAboveEightDigitsAreStillOrdered) {
  expert::TrainingState state = training_state(12);
  state.num_updates = 200'000'000;
  state.step = 99'999'999;
  save_generation(folder(), state);
  state.step = 100'000'000;
  save_generation(folder(), state);
  EXPECT_EQ(newest_step(), 100'000'000);
}

TEST_F(GenerationTest, SavingTheSameStepAgainChangesNothing) {
  const fs::path path = save(12);
  const auto facts = fs::last_write_time(path / "state.h5");
  fs::last_write_time(path / "state.h5", facts - std::chrono::hours(1));
  save(12);
  EXPECT_EQ(fs::last_write_time(path / "state.h5"), facts - std::chrono::hours(1));
}

TEST_F(GenerationTest, ADamagedGenerationOfTheSameStepIsReplaced) {
  save(11);
  const fs::path path = save(12);
  write_all(path / "state.h5", "rubbish");
  EXPECT_EQ(newest_step(), 11);
  save(12);
  EXPECT_EQ(newest_step(), 12);
  // Another identity under this name is no reason to keep it either.
  expert::TrainingState other = training_state(12);
  other.identity.set("learning_rate", "0.1");
  save_generation(folder(), other);
  EXPECT_EQ(peek_newest_generation(folder())->identity.facts().at("learning_rate"), "0.1");
}

TEST_F(GenerationTest, FallsBackAndSaysWhy) {
  save(1);
  const fs::path path = save(2);
  std::string bytes = read_all(path / "state.h5");
  bytes[bytes.size() / 2] ^= 1;
  write_all(path / "state.h5", bytes);
  const auto loaded = load_newest_generation(folder());
  ASSERT_TRUE(loaded.state);
  expect_same(*loaded.state, training_state(1));
  EXPECT_EQ(loaded.path.filename(), "step-00000001");
  ASSERT_THAT(loaded.passed_over, SizeIs(1));
  EXPECT_THAT(loaded.passed_over[0], HasSubstr("passed over " + path.string()));
  EXPECT_THAT(loaded.passed_over[0], HasSubstr("SHA-256"));
}

TEST_F(GenerationTest, ADamagedNewerOneNeverPushesAWholeOneOut) {
  save(1);
  save(2);
  for (const std::int64_t step : {3, 4, 5}) {
    fs::create_directories(folder() / ("step-0000000" + std::to_string(step)));
  }
  const fs::path path = save(6);
  fs::remove(path / "COMPLETE");
  save(5);  // step 2 and 5 are whole now
  EXPECT_TRUE(fs::exists(folder() / "step-00000002"));
  fs::remove(folder() / "step-00000005" / "manifest.json");
  EXPECT_EQ(newest_step(), 2);
}

TEST_F(GenerationTest, WithoutMarkerItDoesNotCount) {
  save(1);
  for (const char* name : {"COMPLETE", "manifest.json", "state.h5"}) {
    const fs::path path = save(2);
    fs::remove(path / name);
    EXPECT_EQ(newest_step(), 1) << name;
  }
}

TEST_F(GenerationTest, NothingThere) {
  NewestGeneration newest = load_newest_generation(folder_ / "absent");
  EXPECT_FALSE(newest.state);
  EXPECT_TRUE(newest.passed_over.empty());
  EXPECT_FALSE(peek_newest_generation(folder_ / "absent"));
  fs::create_directories(folder() / "step-00000003");
  newest = load_newest_generation(folder());
  EXPECT_FALSE(newest.state);
  ASSERT_THAT(newest.passed_over, SizeIs(1));
  EXPECT_THAT(newest.passed_over[0], HasSubstr("COMPLETE"));
}

TEST_F(GenerationTest, LinksPipesAndFoldersAreRefused) {
  save(1);
  const fs::path path = save(2);
  const fs::path elsewhere = folder_ / "elsewhere";
  for (const char* name : {"COMPLETE", "manifest.json", "state.h5"}) {
    fs::rename(path / name, elsewhere);
    fs::create_symlink(elsewhere, path / name);
    EXPECT_EQ(newest_step(), 1) << name;
    fs::remove(path / name);
    ASSERT_EQ(::mkfifo((path / name).c_str(), 0600), 0);
    EXPECT_EQ(newest_step(), 1) << name;
    fs::remove(path / name);
    fs::create_directory(path / name);
    EXPECT_EQ(newest_step(), 1) << name;
    fs::remove(path / name);
    fs::rename(elsewhere, path / name);
    EXPECT_EQ(newest_step(), 2) << name;
  }
  fs::rename(path, elsewhere);
  fs::create_directory_symlink(elsewhere, path);
  EXPECT_EQ(newest_step(), 1);
}

TEST_F(GenerationTest, OtherNamesAreLeftAlone) {
  save(1);
  for (const char* name : {"step-1", "step-000000001", "step--0000001", "step-00000009x", "notes",
                           "step-00000009-slot-3", "step-00000009-slot-00001", "notes.tmp.12"}) {
    fs::create_directories(folder() / name);
  }
  EXPECT_EQ(newest_step(), 1);
  save(2);
  save(3);
  EXPECT_THAT(names(), SizeIs(8 + 2));
}

TEST_F(GenerationTest, LeftoversOfInterruptedSavesGo) {
  save(1);
  fs::create_directories(folder() / "step-00000002.tmp.999999");
  write_all(folder() / "step-00000002.tmp.999999" / "state.h5", "half");
  EXPECT_EQ(newest_step(), 1);
  save(2);
  EXPECT_THAT(names(), ElementsAre("step-00000001", "step-00000002"));
}

TEST_F(GenerationTest, ANewerFormatIsRefusedInWords) {
  save(1);
  const fs::path path = save(2);
  change_manifest(path, [](base::Json& json) {
    json = {{"kind", "training_state"},
            {"format_version", kTrainingStateFormatVersion + 1},
            {"something", "new"}};
  });
  const std::vector<std::function<void()>> calls = {[this] { load_newest_generation(folder()); },
                                                    [this] { peek_newest_generation(folder()); },
                                                    [this] { save(2); }};
  for (const auto& call : calls) {
    const base::Error error = error_of(call);
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    EXPECT_THAT(error.what(), HasSubstr("newer version"));
    EXPECT_THAT(error.what(),
                HasSubstr(fmt::format("format version {}", kTrainingStateFormatVersion + 1)));
  }
  EXPECT_TRUE(fs::exists(path));
  save(3);  // then it is not the newest any more
  EXPECT_EQ(newest_step(), 3);
}

TEST_F(GenerationTest, AManifestThatDisagreesIsNotBelieved) {
  save(1);
  const std::vector<std::function<void(base::Json&)>> changes = {
      [](base::Json& json) { json["step"] = 3; },
      [](base::Json& json) { json["num_updates"] = 41; },
      [](base::Json& json) { json["num_parameters"] = 999; },
      [](base::Json& json) { json["task"] = "other"; },
      [](base::Json& json) { json["identity"]["learning_rate"] = "1"; },
      [](base::Json& json) { json["identity"]["learning_rate"] = 1; },
      [](base::Json& json) { json["kind"] = "expert"; },
      [](base::Json& json) { json["format_version"] = 0; },
      [](base::Json& json) { json["format_version"] = "1"; },
      [](base::Json& json) { json["files"].clear(); },
      [](base::Json& json) { json["files"][0]["name"] = "../state.h5"; },
      [](base::Json& json) { json["files"][0]["size"] = -1; },
      [](base::Json& json) { json["files"][0]["size"] = 1ULL << 60U; },
      [](base::Json& json) { json["files"][0]["sha256"] = "0"; },
      [](base::Json& json) { json = 12; },
      [](base::Json& json) { json.erase("files"); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    fs::remove_all(folder() / "step-00000002");
    change_manifest(save(2), changes[i]);
    EXPECT_EQ(newest_step(), 1) << "change " << i;
  }
}

TEST_F(GenerationTest, PeekReadsTheManifestAlone) {
  const fs::path path = save(12);
  const auto facts = peek_newest_generation(folder());
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->step, 12);
  EXPECT_EQ(facts->num_updates, 40);
  EXPECT_EQ(facts->path, path);
  EXPECT_EQ(facts->identity.facts(), training_state(12).identity.facts());
  write_all(path / "COMPLETE", std::string(64, '0') + "\n");
  EXPECT_FALSE(peek_newest_generation(folder()));
}

TEST_F(GenerationTest, TimesOfFilesSayNothing) {
  save(1);
  save(2);
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::recursive_directory_iterator(folder())) {
    const bool is_old = entry.path().string().find("step-00000001") != std::string::npos;
    fs::last_write_time(entry.path(), now + std::chrono::hours(is_old ? 900'000 : -400'000));
  }
  EXPECT_EQ(newest_step(), 2);
  save(3);
  EXPECT_THAT(names(), ElementsAre("step-00000002", "step-00000003"));
}

TEST_F(GenerationTest, RemoveTakesEverythingOfOurs) {
  save(1);
  save(2);
  fs::create_directories(folder() / "step-00000003.tmp.12");
  remove_generations(folder());
  EXPECT_FALSE(fs::exists(folder()));
  remove_generations(folder());
  fs::create_directories(folder() / "mine");
  save(1);
  remove_generations(folder());
  EXPECT_THAT(names(), ElementsAre("mine"));
}

TEST_F(GenerationTest, BytesAreAnUpperBound) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1000}, std::size_t{5'000'001}}) {
    expert::TrainingState state = training_state(12);
    state.parameters.assign(size, 1.0F);
    state.first_moment = state.second_moment = state.parameters;
    const fs::path path = save_generation(folder_ / std::to_string(size), state);
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(path)) {
      bytes += fs::file_size(entry.path());
    }
    EXPECT_LE(bytes, generation_bytes(static_cast<std::int64_t>(size)));
    EXPECT_LE(bytes + 4 * size, generation_bytes(static_cast<std::int64_t>(size), true));
    EXPECT_GT(2 * bytes + (std::uint64_t{1} << 21),
              generation_bytes(static_cast<std::int64_t>(size)));
  }
}

TEST_F(GenerationTest, FreeSpace) {
  EXPECT_NO_THROW(check_free_space(folder_ / "not" / "yet" / "there", 1, "a checkpoint"));
  const base::Error error = error_of([this] {
    check_free_space(folder_ / "not there", std::uint64_t{1} << 62U, "4 checkpoints");
  });
  EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("4 checkpoints"));
  EXPECT_THAT(error.what(), HasSubstr("4611686018427387904 bytes"));
  EXPECT_THAT(error.what(), HasSubstr("quota"));
}

TEST_F(GenerationTest, AFileInThePlaceOfTheFolder) {
  write_all(folder_ / "checkpoints", "a file");
  const base::Error error = error_of([this] { save(1); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("Not a directory (errno 20)"));
}

}  // namespace
}  // namespace baton::checkpoint
