#include "baton/checkpoint/buffer_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "baton/base/json.hpp"
#include "checkpoint_fixture.hpp"

namespace baton::checkpoint {
namespace {

using ::testing::HasSubstr;

class BufferFileTest : public CheckpointTest {
 protected:
  std::filesystem::path path() const { return folder_ / "01-sum.h5"; }
};

void expect_equal(const data::RehearsalBuffer& a, const data::RehearsalBuffer& b) {
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.num_task_rows, b.num_task_rows);
  EXPECT_EQ(a.ratio, b.ratio);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.selection, b.selection);
  ASSERT_EQ(a.rows.size(), b.rows.size());
  for (std::size_t i = 0; i < a.rows.size(); ++i) {
    EXPECT_EQ(a.rows[i].id, b.rows[i].id);
    EXPECT_EQ(a.rows[i].references, b.rows[i].references);
    ASSERT_EQ(a.rows[i].conversation.size(), b.rows[i].conversation.size());
    for (std::size_t j = 0; j < a.rows[i].conversation.size(); ++j) {
      EXPECT_EQ(a.rows[i].conversation[j].role, b.rows[i].conversation[j].role);
      EXPECT_EQ(a.rows[i].conversation[j].text, b.rows[i].conversation[j].text);
    }
  }
}

TEST_F(BufferFileTest, ComesBackAsItWas) {
  save_buffer(path(), small_buffer());
  const data::RehearsalBuffer loaded = load_buffer(path());
  expect_equal(loaded, small_buffer());
  EXPECT_EQ(loaded.fingerprint(), small_buffer().fingerprint());
  EXPECT_EQ(loaded.rows[1].origin, path().string() + " row 2");
}

TEST_F(BufferFileTest, SameBufferGivesSameBytesWhateverTheOrigin) {
  save_buffer(path(), small_buffer());
  save_buffer(folder_ / "again.h5", load_buffer(path()));
  EXPECT_EQ(read_all(path()), read_all(folder_ / "again.h5"));
}

TEST_F(BufferFileTest, NoRows) {
  data::RehearsalBuffer buffer = small_buffer();
  buffer.rows.clear();
  save_buffer(path(), buffer);
  expect_equal(load_buffer(path()), buffer);
}

TEST_F(BufferFileTest, TextThatIsNotUtf8IsADataErrorAndLeavesNothing) {
  data::RehearsalBuffer buffer = small_buffer();
  buffer.rows[2].references[0] = "\xff";
  buffer.rows[2].origin = "qa.json line 3";
  const base::Error error = error_of([&] { save_buffer(path(), buffer); });
  EXPECT_EQ(error.kind(), base::ErrorKind::kData);
  EXPECT_THAT(error.details().where, HasSubstr("qa.json line 3"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(BufferFileTest, FlippedBitsAndCutsAreRefusedOrWithoutEffect) {
  save_buffer(path(), small_buffer());
  const std::string whole = read_all(path());
  std::mt19937_64 random(7);
  const auto load_changed = [&](const std::string& bytes) {
    const std::filesystem::path changed = folder_ / "changed.h5";
    write_all(changed, bytes);
    try {
      expect_equal(load_buffer(changed), small_buffer());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << error.what();
      return false;
    }
    return true;
  };
  for (int i = 0; i < 200; ++i) {
    std::string bytes = whole;
    const std::size_t place = random() % bytes.size();
    bytes[place] = static_cast<char>(bytes[place] ^ static_cast<char>(1U << (random() % 8)));
    load_changed(bytes);
  }
  for (std::size_t size = 0; size < whole.size(); size += 512) {
    EXPECT_FALSE(load_changed(whole.substr(0, size))) << size;
  }
}

TEST_F(BufferFileTest, SeenByH5pyAsWritten) {
  if (!has_h5py()) {
    GTEST_SKIP() << "no Python with h5py; set BATON_PYTHON";
  }
  const data::RehearsalBuffer buffer = small_buffer();
  save_buffer(path(), buffer);
  const base::Json seen = base::parse_json(check_h5("buffer " + path().string()),
                                           base::ErrorKind::kInternal, "check_h5");
  EXPECT_EQ(seen["attributes"]["task"], "sum");
  EXPECT_EQ(seen["attributes"]["num_task_rows"], 30);
  EXPECT_EQ(seen["attributes"]["num_rows"], 3);
  EXPECT_EQ(seen["attributes"]["ratio"], 0.1);
  EXPECT_EQ(seen["attributes"]["selection"], "random");
  EXPECT_EQ(seen["attributes"]["fingerprint"], buffer.fingerprint());
  ASSERT_EQ(seen["rows"].size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(seen["rows"][i]["id"], buffer.rows[i].id);
    EXPECT_EQ(seen["rows"][i]["references"], base::Json(buffer.rows[i].references));
    for (std::size_t j = 0; j < buffer.rows[i].conversation.size(); ++j) {
      EXPECT_EQ(seen["rows"][i]["conversation"][j]["role"], buffer.rows[i].conversation[j].role);
      EXPECT_EQ(seen["rows"][i]["conversation"][j]["content"], buffer.rows[i].conversation[j].text);
    }
  }
  check_h5("set-int " + path().string() + " num_rows 4");
  EXPECT_THAT(error_of([&] { load_buffer(path()); }).details().where, HasSubstr("num_rows"));
  check_h5("set-int " + path().string() + " format_version 9");
  EXPECT_THAT(error_of([&] { load_buffer(path()); }).summary(), HasSubstr("newer version"));
}

}  // namespace
}  // namespace baton::checkpoint
