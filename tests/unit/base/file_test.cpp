#include "baton/base/file.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace baton::base {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              (std::string("baton_") + test->name() + "_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The error of a call, kInternal when there is none.
  template <typename Call>
  static Error error_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    return {ErrorKind::kInternal, "no error"};
  }

  fs::path folder_;
};

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST_F(FileTest, AtomicWriteReplacesAndLeavesNothingBeside) {
  write_file_atomically(folder_ / "a", "first");
  write_file_atomically(folder_ / "a", std::string("with\0zero", 9));
  EXPECT_EQ(content(folder_ / "a"), std::string("with\0zero", 9));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, AtomicWriteIntoNoFolder) {
  const Error error = error_of([this] { write_file_atomically(folder_ / "absent" / "a", "x"); });
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr((folder_ / "absent" / "a").string()));
  EXPECT_THAT(error.what(), HasSubstr("No such file or directory (errno 2)"));
}

TEST_F(FileTest, AtomicWriteOntoAFolder) {
  fs::create_directories(folder_ / "a" / "b");
  const Error error = error_of([this] { write_file_atomically(folder_ / "a", "x"); });
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("rename"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, OnlyRegularFilesAreInput) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);  // nobody writes into it
  write_new_file(folder_ / "file", "text");
  fs::create_symlink(folder_ / "file", folder_ / "link");
  fs::create_symlink("/dev/zero", folder_ / "endless");
  for (const fs::path& path : {folder_ / "pipe", folder_, folder_ / "endless"}) {
    for (const Error& error : {error_of([&] { read_file(path, ErrorKind::kData); }),
                               error_of([&] { MappedFile(path, ErrorKind::kData); }),
                               error_of([&] { open_input(path, ErrorKind::kData); })}) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      EXPECT_THAT(error.what(), HasSubstr("not a regular file"));
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
  EXPECT_EQ(read_file(folder_ / "link", ErrorKind::kData), "text");
  EXPECT_THAT(
      error_of([&] { open_input(folder_ / "link", ErrorKind::kModel, Symlinks::kRefuse); }).what(),
      HasSubstr("symbolic link"));
}

TEST_F(FileTest, ANewFileMustBeNew) {
  write_new_file(folder_ / "a", "first");
  EXPECT_EQ(content(folder_ / "a"), "first");
  const Error error = error_of([this] { write_new_file(folder_ / "a", "second"); });
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("File exists (errno 17)"));
  EXPECT_EQ(content(folder_ / "a"), "first");
}

TEST_F(FileTest, SyncAndRenameNameWhatFails) {
  EXPECT_NO_THROW(sync_folder(folder_));
  EXPECT_THAT(error_of([this] { sync_folder(folder_ / "absent"); }).what(), HasSubstr("errno 2"));
  const Error error = error_of([this] { rename_path(folder_ / "absent", folder_ / "b"); });
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("absent"));
  EXPECT_THAT(error.what(), HasSubstr((folder_ / "b").string()));
}

TEST_F(FileTest, MakesFoldersAndTheirParents) {
  make_directories(folder_ / "a" / "b" / "c");
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b" / "c"));
  EXPECT_NO_THROW(make_directories(folder_ / "a" / "b" / "c"));
  EXPECT_NO_THROW(make_directories((folder_ / "d" / "e").string() + "/"));
  EXPECT_TRUE(fs::is_directory(folder_ / "d" / "e"));
  write_new_file(folder_ / "file", "x");
  const Error error = error_of([this] { make_directories(folder_ / "file" / "g"); });
  EXPECT_EQ(error.kind(), ErrorKind::kStorage);
  EXPECT_THAT(error.what(), HasSubstr("cannot create a folder"));
}

TEST_F(FileTest, ReadingNamesTheKind) {
  EXPECT_EQ(error_of([this] { read_file(folder_ / "absent", ErrorKind::kData); }).kind(),
            ErrorKind::kData);
  EXPECT_EQ(error_of([this] { read_file(folder_, ErrorKind::kData); }).kind(), ErrorKind::kData);
  write_new_file(folder_ / "a", "12345");
  EXPECT_EQ(read_file(folder_ / "a", ErrorKind::kData), "12345");
  EXPECT_EQ(error_of([this] { read_file(folder_ / "a", ErrorKind::kModel, 4); }).kind(),
            ErrorKind::kModel);
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_EQ(error_of([this] { read_file(folder_ / "loop", ErrorKind::kData); }).kind(),
            ErrorKind::kStorage);
}

}  // namespace
}  // namespace baton::base
