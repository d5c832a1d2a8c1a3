#include "baton/checkpoint/expert_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>
#include <random>

#include "baton/base/json.hpp"
#include "baton/base/sha256.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "checkpoint_fixture.hpp"

#ifdef __SANITIZE_ADDRESS__
// HDF5 1.10 forgets some of its own memory when it refuses damaged metadata; no id of ours stays
// open then.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}
#endif

namespace baton::checkpoint {
namespace {

using expert::ExpertState;
using ::testing::HasSubstr;

class ExpertFileTest : public CheckpointTest {
 protected:
  std::filesystem::path path() const { return folder_ / "01-qa.h5"; }
};

void expect_equal(const ExpertState& a, const ExpertState& b) {
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.identity.facts(), b.identity.facts());
  EXPECT_EQ(a.base_fingerprint, b.base_fingerprint);
  EXPECT_EQ(a.lora_rank, b.lora_rank);
  EXPECT_EQ(a.lora_alpha, b.lora_alpha);
  EXPECT_EQ(a.lora_dropout, b.lora_dropout);
  EXPECT_EQ(a.lora_target, b.lora_target);
  EXPECT_EQ(a.lora_activation, b.lora_activation);
  EXPECT_EQ(a.invocation_ids, b.invocation_ids);
  EXPECT_EQ(a.accept_token_id, b.accept_token_id);
  EXPECT_EQ(a.pass_token_id, b.pass_token_id);
  EXPECT_EQ(a.accept_threshold, b.accept_threshold);
  ASSERT_EQ(a.roc.size(), b.roc.size());
  for (std::size_t i = 0; i < a.roc.size(); ++i) {
    EXPECT_EQ(a.roc[i].threshold, b.roc[i].threshold);
    EXPECT_EQ(a.roc[i].true_positive_rate, b.roc[i].true_positive_rate);
    EXPECT_EQ(a.roc[i].false_positive_rate, b.roc[i].false_positive_rate);
  }
  EXPECT_EQ(a.prompt_template, b.prompt_template);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.num_positive, b.num_positive);
  EXPECT_EQ(a.num_negative, b.num_negative);
  ASSERT_EQ(a.arrays.size(), b.arrays.size());
  for (std::size_t i = 0; i < a.arrays.size(); ++i) {
    EXPECT_EQ(a.arrays[i].name, b.arrays[i].name);
    EXPECT_EQ(a.arrays[i].shape, b.arrays[i].shape);
    ASSERT_EQ(a.arrays[i].values.size(), b.arrays[i].values.size());
    EXPECT_EQ(std::memcmp(a.arrays[i].values.data(), b.arrays[i].values.data(),
                          a.arrays[i].values.size() * 4),
              0);
  }
}

TEST_F(ExpertFileTest, ComesBackAsItWasAndInOrder) {
  const ExpertState state = small_expert();
  save_expert(path(), state);
  expect_equal(load_expert(path()), state);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path(), path()) << "nothing else is left in the folder";
  }
}

TEST_F(ExpertFileTest, ManyArraysEmptyListsAndEveryKindOfNumber) {
  ExpertState state = small_expert(40);  // past the sizes where HDF5 changes how it stores links
  state.identity.set(
      "long", std::string(200'000, 'x'));  // past 64 KiB, where attributes are stored elsewhere
  state.lora_activation = "full";
  state.invocation_ids.clear();
  state.roc.clear();
  state.lora_dropout = 0;
  std::vector<std::uint32_t> bits{0x80000000U, 0x00000001U, 0x7f7fffffU,
                                  0xff7fffffU, 0x807fffffU, 0x3f800001U};
  std::memcpy(state.arrays[0].values.data(), bits.data(), 24);
  save_expert(path(), state);
  expect_equal(load_expert(path()), state);
}

TEST_F(ExpertFileTest, LargeArrayOverSeveralChunks) {
  ExpertState state = small_expert(1);
  const std::int64_t width = 3'000'001;  // two rows of 12 MB: one chunk each
  state.arrays[0].shape = {2, width};
  state.arrays[0].values.assign(static_cast<std::size_t>(2 * width), 1.5F);
  state.arrays[0].values.back() = -7;
  save_expert(path(), state);
  expect_equal(load_expert(path()), state);
}

TEST_F(ExpertFileTest, SameStateGivesSameBytes) {
  save_expert(path(), small_expert());
  const std::string first = base::sha256_file(path());
  const ExpertState again = load_expert(path());
  save_expert(folder_ / "another_name.h5", again);
  EXPECT_EQ(base::sha256_file(folder_ / "another_name.h5"), first);
  ExpertState other = again;
  other.arrays[3].values[1] += 1;
  save_expert(path(), other);
  EXPECT_NE(base::sha256_file(path()), first);
}

// True when a damaged copy is refused as it should be; what is loaded all the same must be what the
// file held.
bool is_refused(const std::filesystem::path& path,
                const std::string& bytes,
                const ExpertState& held) {
  write_all(path, bytes);
  try {
    expect_equal(load_expert(path), held);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
    return true;
  }
  return false;
}

TEST_F(ExpertFileTest, OneFlippedBitIsNeverLoadedInSilence) {
  const char* asked = std::getenv("BATON_NUM_BIT_FLIPS");
  const int num_flips = asked != nullptr ? std::atoi(asked) : 400;
  const ExpertState held = small_expert(2);
  save_expert(path(), held);
  const std::string whole = read_all(path());
  std::mt19937_64 random(2026);
  int num_refused = 0;
  for (int i = 0; i < num_flips; ++i) {
    // Every second flip hits the first 2 KiB, where the superblock and the first headers are.
    const std::size_t range = i % 2 == 0 ? whole.size() : std::min<std::size_t>(whole.size(), 2048);
    const std::size_t place = random() % range;
    const auto mask = static_cast<char>(1U << (random() % 8));
    std::string bytes = whole;
    bytes[place] = static_cast<char>(bytes[place] ^ mask);
    const auto start = std::chrono::steady_clock::now();
    num_refused += is_refused(folder_ / "flipped.h5", bytes, held) ? 1 : 0;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << "hangs";
    ASSERT_FALSE(HasFailure()) << "byte " << place << " mask " << int{mask};
  }
  RecordProperty("refused", num_refused);
  std::printf("%d of %d flips refused, the others without effect\n", num_refused, num_flips);
  EXPECT_GT(num_refused, num_flips / 2);
}

TEST_F(ExpertFileTest, EveryCutIsRefused) {
  const ExpertState held = small_expert(2);
  save_expert(path(), held);
  const std::string whole = read_all(path());
  for (std::size_t size = 0; size < whole.size(); size += 512) {
    EXPECT_TRUE(is_refused(folder_ / "cut.h5", whole.substr(0, size), held)) << size;
  }
  EXPECT_TRUE(is_refused(folder_ / "cut.h5", whole.substr(0, whole.size() - 1), held));
  EXPECT_TRUE(is_refused(folder_ / "cut.h5", whole + "x", held));
}

TEST_F(ExpertFileTest, DamagedArrayIsNamed) {
  const ExpertState state = small_expert(2);
  save_expert(path(), state);
  std::string bytes = read_all(path());
  const std::string needle(reinterpret_cast<const char*>(state.arrays[5].values.data()), 24);
  const std::size_t place = bytes.find(needle);
  ASSERT_NE(place, std::string::npos);
  bytes[place + 7] = static_cast<char>(bytes[place + 7] ^ 1);
  write_all(path(), bytes);
  const base::Error error = error_of([&] { load_expert(path()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
  EXPECT_THAT(error.details().where, HasSubstr(state.arrays[5].name));
  EXPECT_THAT(error.details().found, HasSubstr("checksum"));
}

TEST_F(ExpertFileTest, ArrayOfAnotherShapeThanTheRankIsNamed) {
  ExpertState state = small_expert(1);
  state.arrays[2].shape = {3, 2};  // an A factor of rank 2 is [2, inputs]
  save_expert(path(), state);
  const base::Error error = error_of([&] { load_expert(path()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
  EXPECT_THAT(error.details().where, HasSubstr(state.arrays[2].name));
  EXPECT_EQ(error.details().expected, "shape [2, inputs]");
  EXPECT_EQ(error.details().found, "shape [3, 2]");
}

// Whole by its checksums: what expert::check_expert refuses, no reader gets.
TEST_F(ExpertFileTest, WhatCannotBeUsedIsNotLoaded) {
  ExpertState state = small_expert(1);
  state.accept_threshold = std::numeric_limits<double>::quiet_NaN();
  save_expert(path(), state);
  const base::Error error = error_of([&] { load_expert(path()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
  EXPECT_EQ(error.details().where, path().string() + ", accept_threshold");
  save_expert(path(), small_expert(1));
  EXPECT_NO_THROW(load_expert(path(), {.task = "qa"}));
  EXPECT_THAT(error_of([&] { load_expert(path(), {.task = "other"}); }).details().where,
              HasSubstr(", task"));
}

TEST_F(ExpertFileTest, MissingFileAndOtherKinds) {
  EXPECT_EQ(error_of([&] { load_expert(folder_ / "none.h5"); }).kind(), base::ErrorKind::kModel);
  EXPECT_EQ(error_of([&] { load_expert(folder_); }).kind(), base::ErrorKind::kModel);
  write_all(path(), std::string(100, 'x'));
  EXPECT_THAT(error_of([&] { load_expert(path()); }).details().found,
              HasSubstr("does not begin as one"));
  write_all(path(), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234567\n");
  EXPECT_THAT(error_of([&] { load_expert(path()); }).summary(), HasSubstr("Git LFS pointer"));
  H5File other = H5File::create(path());
  other.set_text("kind", "soup");
  other.close();
  EXPECT_EQ(error_of([&] { load_expert(path()); }).details().found, "soup");
}

TEST_F(ExpertFileTest, FileSizeLimitLeavesTheOldFile) {
  save_expert(path(), small_expert(1));
  const std::string old = read_all(path());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_expert(path(), small_expert(12));
    } catch (const base::Error& error) {
      const std::string text = error.what();
      const bool good = error.kind() == base::ErrorKind::kStorage &&
                        text.find(path().filename()) != std::string::npos &&
                        text.find("errno 27") != std::string::npos;
      if (!good) {
        std::fprintf(stderr, "%s\n", text.c_str());
      }
      ::_exit(good ? 0 : 2);
    }
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_all(path()), old);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1)
      << "the temporary file is gone";
}

// A small file system of its own, when the user may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& folder) : folder_(folder.string()) {
    std::filesystem::create_directories(folder);
    mounted_ =
        std::system(("mount -t tmpfs -o size=256k tmpfs " + folder_ + " 2>/dev/null").c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      EXPECT_EQ(std::system(("umount " + folder_).c_str()), 0);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  std::string folder_;
  bool mounted_ = false;
};

TEST_F(ExpertFileTest, FullDiskLeavesTheOldFile) {
  const std::filesystem::path folder = folder_ / "disk";
  const SmallDisk disk(folder);
  if (!disk.mounted()) {
    GTEST_SKIP()
        << "no right to mount a small tmpfs; the file size limit test covers the same path";
  }
  save_expert(folder / "qa.h5", small_expert(1));
  const std::string old = read_all(folder / "qa.h5");
  ExpertState large = small_expert(1);
  large.arrays[0].shape = {2, 50'000};
  large.arrays[0].values.assign(100'000, 1.0F);
  const base::Error error = error_of([&] { save_expert(folder / "qa.h5", large); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("qa.h5"));
  EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
  EXPECT_THAT(error.what(), HasSubstr("errno 28"));
  EXPECT_EQ(read_all(folder / "qa.h5"), old);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1)
      << "the temporary file is gone";
}

TEST_F(ExpertFileTest, SeenByH5pyAsWritten) {
  if (!has_h5py()) {
    GTEST_SKIP() << "no Python with h5py; set BATON_PYTHON";
  }
  const ExpertState state = small_expert();
  save_expert(path(), state);
  const base::Json seen = base::parse_json(check_h5("expert " + path().string()),
                                           base::ErrorKind::kInternal, "check_h5");
  const base::Json& attributes = seen["attributes"];
  EXPECT_EQ(attributes["format_version"], kExpertFormatVersion);
  EXPECT_EQ(attributes["task"], "qa");
  EXPECT_EQ(attributes["fingerprint"], state.identity.fingerprint());
  EXPECT_EQ(base::Json::parse(attributes["identity"].get<std::string>()),
            base::Json(state.identity.facts()));
  EXPECT_EQ(attributes["lora_target"], base::Json(state.lora_target));
  EXPECT_EQ(attributes["invocation_ids"], base::Json(state.invocation_ids));
  EXPECT_EQ(attributes["lora_alpha"], 4.5);
  EXPECT_EQ(attributes["accept_threshold"], -1.25);
  EXPECT_EQ(attributes["roc"], base::Json({-1.25, 0.9, 0.1, 0.5, 0.75, 0.0}));
  EXPECT_EQ(attributes["seed"], state.seed);
  ASSERT_EQ(seen["arrays"].size(), state.arrays.size());
  for (const expert::NamedArray& array : state.arrays) {
    EXPECT_EQ(seen["arrays"][array.name]["shape"], base::Json(array.shape)) << array.name;
    EXPECT_EQ(seen["arrays"][array.name]["values"].get<std::vector<float>>(), array.values)
        << array.name;
  }
  // Another format version is told from damage.
  check_h5("set-int " + path().string() + " format_version 3");
  const base::Error error = error_of([&] { load_expert(path()); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
  EXPECT_THAT(error.summary(), HasSubstr("newer version"));
  check_h5("set-int " + path().string() + " format_version 1");
  EXPECT_THAT(error_of([&] { load_expert(path()); }).summary(), HasSubstr("older version"));
  check_h5("set-int " + path().string() + " format_version 2");
  expect_equal(load_expert(path()), state);
  // A changed fact with right HDF5 checksums is still found.
  check_h5("set-int " + path().string() + " steps 43");
  EXPECT_THAT(error_of([&] { load_expert(path()); }).details().where, HasSubstr("facts_sha256"));
}

TEST_F(ExpertFileTest, H5dumpReadsTheHeader) {
  if (std::system("h5dump --version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no h5dump";
  }
  save_expert(path(), small_expert());
  const std::string text = output_of("h5dump -H " + path().string());
  EXPECT_THAT(
      text,
      HasSubstr("DATASET \"base_model.model.model.layers.11.self_attn.v_proj.lora_B.weight\""));
  EXPECT_THAT(text, HasSubstr("ATTRIBUTE \"accept_threshold\""));
  EXPECT_THAT(text, HasSubstr("H5T_IEEE_F32LE"));
}

}  // namespace
}  // namespace baton::checkpoint
