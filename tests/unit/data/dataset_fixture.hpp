#pragma once
// A dataset folder of its own for every test, and the text of the errors that reading it gives.

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "baton/base/error.hpp"
#include "baton/data/dataset.hpp"

namespace baton::data {

constexpr const char* kSamples = BATON_SOURCE_DIR "/data/samples";

class DatasetTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("baton_dataset_" + std::string(info->name()) + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  TaskData read(const std::string& task, ReadLimits limits = {}) const {
    return Dataset(folder_).read_task(task, limits);
  }

  // A task "t" of one train file with this content.
  TaskData read_as(const std::string& formatting, const std::string& content) const {
    write("rows.json", content);
    write("dataset_info.json",
          R"({"t": {"train_file": "rows.json", "formatting": ")" + formatting + "\"}}");
    return read("t");
  }

  // The text of the error; the row's own text ("SECRET") must never be in it.
  template <typename Function>
  std::string error_of(base::ErrorKind kind, Function function) const {
    try {
      function();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_FALSE(error.details().fix.empty()) << error.what();
      EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("SECRET")));
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
  std::string data_error_of(const std::string& formatting, const std::string& content) const {
    return error_of(base::ErrorKind::kData, [&] { read_as(formatting, content); });
  }

  std::filesystem::path folder_;
};

}  // namespace baton::data
