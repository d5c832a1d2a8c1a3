#include "baton/weights/safetensors.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"
#include "temporary_folder.hpp"

namespace baton::weights {
namespace {

using ::testing::HasSubstr;

std::string with_header(const std::string& header, const std::string& data) {
  std::string file;
  for (int i = 0; i < 8; ++i) {
    file.push_back(static_cast<char>((header.size() >> (8 * i)) & 0xff));
  }
  return file + header + data;
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> floats_of(const TensorView& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class SafetensorsTest : public ::testing::Test {
 protected:
  /// The text of the error that these bytes give; "" when they are read.
  std::string error_of(const std::string& bytes) {
    write(folder_.path() / "x.safetensors", bytes);
    try {
      const SafetensorsFile file(folder_.path() / "x.safetensors");
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      EXPECT_THAT(error.what(), HasSubstr("x.safetensors"));
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(SafetensorsTest, ReadsAFileWrittenByHand) {
  // 1.0f and -2.0f, little endian.
  const std::string data("\x00\x00\x80\x3f\x00\x00\x00\xc0\x07", 9);
  write(folder_.path() / "hand.safetensors",
        with_header(
            R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]},)"
            R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
            R"("none":{"dtype":"I64","shape":[0,4],"data_offsets":[8,8]}}   )",
            data));
  const SafetensorsFile file(folder_.path() / "hand.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(floats_of(file.tensors().at("a")), (std::vector<float>{1.0F, -2.0F}));
  EXPECT_EQ(file.tensors().at("a").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(file.tensors().at("b").bytes[0], std::byte{7});
  EXPECT_TRUE(file.tensors().at("none").bytes.empty());
}

TEST_F(SafetensorsTest, ReadsBackWhatItWrites) {
  const std::vector<float> a = {1.5F, -0.0F, 3e38F, 4, 5, 6};
  const std::vector<std::uint16_t> b = {1, 2, 3};
  const std::vector<TensorToWrite> tensors = {
      {"b.half", DType::kBF16, {3}, std::as_bytes(std::span(b))},
      {"a \"quoted\" \xc3\xa9", DType::kF32, {2, 3}, std::as_bytes(std::span(a))},
      {"empty", DType::kI8, {0}, {}}};
  write_safetensors(folder_.path() / "x.safetensors", tensors, {{"format", "pt"}});
  const SafetensorsFile file(folder_.path() / "x.safetensors");
  EXPECT_EQ(floats_of(file.tensors().at("a \"quoted\" \xc3\xa9")), a);
  EXPECT_EQ(file.tensors().at("b.half").bytes.size(), 6U);
  EXPECT_EQ(file.tensors().at("empty").dtype, DType::kI8);
  // The data begins at a multiple of eight bytes.
  const std::string bytes = read(folder_.path() / "x.safetensors");
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8, 0);
}

TEST_F(SafetensorsTest, RefusesBadHeaders) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  EXPECT_EQ(error_of(with_header(good, "abcd")), "");
  EXPECT_THAT(error_of(""), HasSubstr("too small"));
  EXPECT_THAT(error_of("1234567"), HasSubstr("too small"));
  EXPECT_THAT(error_of(std::string(8, '\xff')), HasSubstr("too long"));
  EXPECT_THAT(error_of(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8)), HasSubstr("at most 100000000"));
  EXPECT_THAT(error_of(with_header(good, "abcd").substr(0, 30)),
              HasSubstr("ends inside its header"));
  EXPECT_THAT(error_of(std::string(8, '\0')), HasSubstr("does not start"));
  EXPECT_THAT(error_of(with_header(" " + good, "abcd")), HasSubstr("does not start"));
  EXPECT_THAT(error_of(with_header("{\"\xff\":1}", "")), HasSubstr("UTF-8"));
  EXPECT_THAT(error_of(with_header("{\"a\":", "")), HasSubstr("JSON"));
  EXPECT_THAT(error_of(with_header("{} {}", "")), HasSubstr("JSON"));
  EXPECT_THAT(error_of(with_header(good.substr(0, good.size() - 1) + "," + good.substr(1), "abcd")),
              HasSubstr("twice"));
  EXPECT_THAT(error_of(with_header("{\"a\":" + std::string(100'000, '['), "")),
              HasSubstr("nested"));
  EXPECT_THAT(error_of(with_header(R"({"__metadata__":[]})", "")), HasSubstr("__metadata__"));
  EXPECT_THAT(error_of(with_header(R"({"__metadata__":{"a":1}})", "")), HasSubstr("__metadata__"));
}

TEST_F(SafetensorsTest, RefusesBadTensors) {
  const auto entry = [](const char* info) {
    return with_header(fmt::format("{{\"t\":{}}}", info), "abcdefgh");
  };
  EXPECT_EQ(error_of(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})")), "");
  for (const char* info :
       {"1", "null", "[]", "{}", R"({"dtype":"F32","data_offsets":[0,8]})",
        R"({"dtype":"F32","shape":[2]})", R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})",
        R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})",
        R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})",
        R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})",
        R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"}) {
    EXPECT_THAT(error_of(entry(info)), HasSubstr("tensor t")) << info;
  }
  EXPECT_THAT(error_of(entry(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})")),
              HasSubstr("F8_E4M3"));
  EXPECT_THAT(error_of(entry(R"({"dtype":3,"shape":[8],"data_offsets":[0,8]})")),
              HasSubstr("dtype"));
  for (const char* offsets : {"[0]", "[0,4,8]", "[8,0]", "[0,9]", "[0,9223372036854775807]"}) {
    EXPECT_THAT(
        error_of(entry(
            fmt::format(R"({{"dtype":"F32","shape":[2],"data_offsets":{}}})", offsets).c_str())),
        HasSubstr("outside"))
        << offsets;
  }
  EXPECT_THAT(error_of(entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})")),
              HasSubstr("does not match"));
  // 2^62 x 4 bytes and 2^32 x 2^32 x 4 bytes wrap around 64 bits to small numbers.
  EXPECT_THAT(
      error_of(entry(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})")),
      HasSubstr("63 bits"));
  EXPECT_THAT(
      error_of(entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})")),
      HasSubstr("63 bits"));
}

TEST_F(SafetensorsTest, RefusesHolesOverlapsAndLooseEnds) {
  const auto two = [](int a0, int a1, int b0, int b1, const std::string& data) {
    return with_header(fmt::format(R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                                   R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                                   a1 - a0, a0, a1, b1 - b0, b0, b1),
                       data);
  };
  EXPECT_EQ(error_of(two(0, 4, 4, 8, "abcdefgh")), "");
  EXPECT_EQ(error_of(two(4, 8, 0, 4, "abcdefgh")), "");
  EXPECT_THAT(error_of(two(0, 4, 2, 8, "abcdefgh")), HasSubstr("overlap"));
  EXPECT_THAT(error_of(two(0, 8, 0, 8, "abcdefgh")), HasSubstr("overlap"));
  EXPECT_THAT(error_of(two(0, 3, 4, 8, "abcdefgh")), HasSubstr("hole"));
  EXPECT_THAT(error_of(two(1, 4, 4, 8, "abcdefgh")), HasSubstr("hole"));
  EXPECT_THAT(error_of(two(0, 4, 4, 8, "abcdefghi")), HasSubstr("belong to no tensor"));
  EXPECT_THAT(error_of(two(0, 4, 4, 8, "abcdefg")), HasSubstr("outside"));
  EXPECT_THAT(error_of(with_header("{}", "x")), HasSubstr("belong to no tensor"));
  EXPECT_EQ(error_of(with_header("{}", "")), "");
}

TEST_F(SafetensorsTest, FiveThousandMutatedFilesGiveAnErrorOrValidTensors) {
  const std::vector<float> a = {1, 2, 3, 4};
  const std::vector<std::uint16_t> b = {1, 2, 3};
  const std::vector<TensorToWrite> tensors = {
      {"alpha", DType::kF32, {2, 2}, std::as_bytes(std::span(a))},
      {"beta", DType::kBF16, {3}, std::as_bytes(std::span(b))}};
  const std::filesystem::path path = folder_.path() / "seed.safetensors";
  write_safetensors(path, tensors, {{"format", "pt"}});
  const std::string seed = read(path);
  const std::string alphabet = "{}[]\",:0123456789-eE.\\u \n\0\xff";
  base::Random random(20260731);
  int num_refused = 0;
  int num_read = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = seed;
    const auto num_changes = 1 + random.below(4);
    for (std::uint64_t change = 0; change < num_changes && !bytes.empty(); ++change) {
      const std::size_t at = random.below(bytes.size());
      switch (random.below(6)) {
        case 0:
          bytes[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          bytes[at] = alphabet[random.below(alphabet.size())];
          break;
        case 2:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
          break;
        case 3:
          bytes.erase(at, 1 + random.below(16));
          break;
        case 4:
          bytes.insert(at, 1 + random.below(4), alphabet[random.below(alphabet.size())]);
          break;
        default:
          bytes.resize(at);
          break;
      }
    }
    const std::filesystem::path mutated = folder_.path() / "mutated.safetensors";
    write(mutated, bytes);
    try {
      const SafetensorsFile file(mutated);
      std::size_t total = 0;
      unsigned sum = 0;
      for (const auto& [name, tensor] : file.tensors()) {
        total += tensor.bytes.size();
        for (const std::byte byte : tensor.bytes) {
          sum += static_cast<unsigned>(byte);  // every byte of a view can be read
        }
      }
      EXPECT_LE(total, bytes.size());
      EXPECT_LE(sum, 255 * bytes.size());
      ++num_read;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 3000);
  EXPECT_GT(num_read, 100);
}

TEST_F(SafetensorsTest, EqualsThePythonPackageBothWays) {
  const char* configured = std::getenv("BATON_PYTHON");
  const std::string python =
      configured != nullptr ? configured : BATON_SOURCE_DIR "/.deps/venv/bin/python";
  if (!std::filesystem::exists(python)) {
    GTEST_SKIP() << "no Python with the safetensors package at " << python << " (set BATON_PYTHON)";
  }
  const std::filesystem::path script = folder_.path() / "twin.py";
  write(script,
        "import sys, numpy as np\n"
        "from safetensors import numpy as st\n"
        "mine = st.load_file(sys.argv[1])\n"
        "assert sorted(mine) == ['f32', 'flag', 'i64', 'wide']\n"
        "assert mine['f32'].dtype == np.float32 and mine['f32'].tolist() == [[1.5, -2.25, 3.0]]\n"
        "assert mine['i64'].tolist() == [-5, 1 << 40] and mine['wide'].tolist() == 0.1\n"
        "assert mine['flag'].dtype == np.uint8 and mine['flag'].tolist() == [9]\n"
        "st.save_file(mine, sys.argv[2], metadata={'format': 'pt'})\n");
  const std::vector<float> f32 = {1.5F, -2.25F, 3.0F};
  const std::vector<std::int64_t> i64 = {-5, std::int64_t{1} << 40};
  const double wide = 0.1;
  const std::uint8_t flag = 9;
  const std::vector<TensorToWrite> tensors = {
      {"f32", DType::kF32, {1, 3}, std::as_bytes(std::span(f32))},
      {"i64", DType::kI64, {2}, std::as_bytes(std::span(i64))},
      {"wide", DType::kF64, {}, std::as_bytes(std::span(&wide, 1))},
      {"flag", DType::kU8, {1}, std::as_bytes(std::span(&flag, 1))}};
  const std::filesystem::path ours = folder_.path() / "ours.safetensors";
  const std::filesystem::path theirs = folder_.path() / "theirs.safetensors";
  write_safetensors(ours, tensors, {{"format", "pt"}});
  const std::string command =
      fmt::format("'{}' '{}' '{}' '{}'", python, script.string(), ours.string(), theirs.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read(ours), read(theirs));  // the same bytes, header and order included
  const SafetensorsFile file(theirs);
  EXPECT_EQ(floats_of(file.tensors().at("f32")), f32);
  EXPECT_EQ(std::memcmp(file.tensors().at("i64").bytes.data(), i64.data(), 16), 0);
}

}  // namespace
}  // namespace baton::weights
