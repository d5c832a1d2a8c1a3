#include "baton/run/tensorboard_file.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "unit/checkpoint/checkpoint_fixture.hpp"

namespace baton::run {
namespace {

using namespace checkpoint;  // the fixture

class TensorboardFileTest : public CheckpointTest {};

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// The record's length and its masked sum; then, by hand from the numbers of the fields in
// event.proto and summary.proto:
//   09 double time 1.0 | 1a 0d "brain.Event:2"
//   09 double time 2.5 | 10 varint step 300 | 2a size of (0a size of (0a 03 "a/b" | 15 float 0.5))
TEST_F(TensorboardFileTest, BytesAreThoseOfTheFormat) {
  TensorboardFile file(folder_ / "board", 1.0);
  file.write(300, 2.5, std::vector<Scalar>{{"a/b", 0.5}});
  const std::string bytes = hex(read_all(file.path()));
  const std::string first = "09000000000000f03f1a0d627261696e2e4576656e743a32";
  const std::string second = "09000000000000044010ac022a0c0a0a0a03612f62150000003f";
  ASSERT_EQ(bytes.size(), 2 * (16 + first.size() / 2 + 16 + second.size() / 2));
  // The head of every event file that TensorFlow and PyTorch write: 24 bytes and their sum.
  EXPECT_EQ(bytes.substr(0, 24), "1800000000000000a37f4b22");
  EXPECT_EQ(bytes.substr(24, first.size()), first);
  EXPECT_EQ(bytes.substr(24 + first.size() + 8 + 24, second.size()), second);
}

TEST_F(TensorboardFileTest, BeginsAnewAndLeavesOtherFilesAlone) {
  std::filesystem::create_directories(folder_ / "board");
  write_all(folder_ / "board" / "events.out.tfevents.12.host.3", "old");
  write_all(folder_ / "board" / "notes.txt", "mine");
  const TensorboardFile file(folder_ / "board", 1234.5);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "board")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("notes.txt", file.path().filename().string()));
  EXPECT_THAT(file.path().filename().string(), testing::StartsWith("events.out.tfevents.1234."));
}

}  // namespace
}  // namespace baton::run
