#pragma once
// A small expert, a small buffer, a scratch folder, and the Python with h5py for the tests of this
// folder.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "baton/base/error.hpp"
#include "baton/data/rehearsal_buffer.hpp"
#include "baton/expert/expert_state.hpp"

namespace baton::checkpoint {

/// A folder of its own for every test, removed at the end.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("baton_") + test->name() + "_" + std::to_string(::getpid());
    std::replace(name.begin(), name.end(), '/', '_');
    folder_ = std::filesystem::temp_directory_path() / name;
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

inline std::string read_all(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

inline void write_all(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The error a call ends with; the test fails when there is none.
template <typename Call>
base::Error error_of(Call&& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return {base::ErrorKind::kInternal, "no error was thrown"};
}

/// 12 layers of q_proj and v_proj (so that names in alphabetical order are not in layer order),
/// rank 2.
inline expert::ExpertState small_expert(std::int64_t num_layers = 12) {
  expert::ExpertState state;
  state.task = "qa";
  state.identity.set("learning_rate", "0.0002");
  state.identity.set("template", "chatml \"quoted\" \xc3\xa9");
  state.base_fingerprint = std::string(64, 'b');
  state.lora_rank = 2;
  state.lora_alpha = 4.5;
  state.lora_dropout = 0.05;
  state.lora_target = {"q_proj", "v_proj"};
  state.lora_activation = "invocation";
  state.invocation_ids = {1, 4093, 198};
  state.accept_token_id = 9904;
  state.pass_token_id = 2501;
  state.accept_threshold = -1.25;
  state.roc = {{-1.25, 0.9, 0.1}, {0.5, 0.75, 0}};
  state.prompt_template = "chatml";
  state.seed = 0xfedcba9876543210U;
  state.steps = 42;
  state.num_positive = 100;
  state.num_negative = 25;
  float value = 0.125F;
  for (std::int64_t layer = 0; layer < num_layers; ++layer) {
    for (const char* module : {"q_proj", "v_proj"}) {
      for (const char factor : {'A', 'B'}) {
        expert::NamedArray array{expert::peft_key(layer, module, factor), {2, 3}, {}};
        if (factor == 'B') {
          array.shape = {3, 2};
        }
        for (int i = 0; i < 6; ++i) {
          array.values.push_back(value *= -1.0625F);
        }
        state.arrays.push_back(array);
      }
    }
  }
  return state;
}

inline data::RehearsalBuffer small_buffer() {
  data::RehearsalBuffer buffer;
  buffer.task = "sum";
  buffer.num_task_rows = 30;
  buffer.ratio = 0.1;
  buffer.seed = 11;
  buffer.rows.push_back(
      {"a1",
       {{"system", "Be brief."}, {"user", "Sum up:\n\tna\xc3\xafve \xf0\x9f\x98\x80"}},
       {"x", "y"},
       ""});
  buffer.rows.push_back({"a2", {{"user", std::string("nul \0 inside", 12)}}, {""}, ""});
  buffer.rows.push_back({"a3", {{"user", "third"}}, {"z"}, ""});
  return buffer;
}

/// The Python that has h5py: $BATON_PYTHON, else the project's own; "" when there is none.
inline std::string python() {
  if (const char* named = std::getenv("BATON_PYTHON")) {
    return named;
  }
  const char* deps = std::getenv("BATON_DEPS");
  const std::filesystem::path path =
      std::filesystem::path(deps != nullptr ? deps : BATON_SOURCE_DIR "/.deps") / "venv/bin/python";
  return std::filesystem::exists(path) ? path.string() : "";
}

/// Output of a shell command; the test fails when its status is not 0.
inline std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  for (std::size_t count = 0; (count = std::fread(part.data(), 1, part.size(), pipe)) > 0;) {
    text.append(part.data(), count);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << text;
  return text;
}

inline std::string check_h5(const std::string& arguments) {
  return output_of(python() + " " BATON_SOURCE_DIR "/tests/golden/check_h5.py " + arguments);
}

inline bool has_h5py() {
  return !python().empty() &&
         std::system((python() + " -c 'import h5py' 2>/dev/null").c_str()) == 0;
}

}  // namespace baton::checkpoint
