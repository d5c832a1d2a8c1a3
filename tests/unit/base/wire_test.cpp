#include "baton/base/wire.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "baton/base/seed.hpp"

namespace baton::base {
namespace {

using ::testing::HasSubstr;

struct Inner {
  std::string name;
  double value = 0;

  bool operator==(const Inner&) const = default;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("name", self.name);
    visit("value", self.value);
  }
};

// A field of every type.
struct Outer {
  int small = 0;
  std::int64_t whole = 0;
  std::uint64_t natural = 0;
  std::uint8_t byte = 0;
  bool truth = false;
  double real = 0;
  std::string text;
  ErrorKind kind = ErrorKind::kInternal;
  Inner inner;
  std::vector<std::int64_t> numbers;
  std::vector<Inner> list;
  std::optional<Inner> some;
  std::optional<double> none;
  std::map<std::string, std::string> map;
  std::map<std::string, std::vector<Inner>> map_of_lists;

  bool operator==(const Outer&) const = default;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("small", self.small);
    visit("whole", self.whole);
    visit("natural", self.natural);
    visit("byte", self.byte);
    visit("truth", self.truth);
    visit("real", self.real);
    visit("text", self.text);
    visit("kind", self.kind);
    visit("inner", self.inner);
    visit("numbers", self.numbers);
    visit("list", self.list);
    visit("some", self.some);
    visit("none", self.none);
    visit("map", self.map);
    visit("map_of_lists", self.map_of_lists);
  }
};

Outer sample() {
  Outer outer;
  outer.small = std::numeric_limits<int>::min();
  outer.whole = std::numeric_limits<std::int64_t>::min();
  outer.natural = std::numeric_limits<std::uint64_t>::max();
  outer.byte = 0x81;
  outer.truth = true;
  outer.real = 1.0 / 3;
  outer.text = std::string("a\0b\xff", 4);
  outer.kind = ErrorKind::kStorage;
  outer.inner = {"", -2.5};
  outer.numbers = {-1, 0, 1'000'000'000'000};
  outer.list = {{"one", 1}, {"two", 2}};
  outer.some = {"there", std::numeric_limits<double>::infinity()};
  outer.map = {{"", "empty"}, {"torch", "2.6"}};
  outer.map_of_lists = {{"x", {}}, {"y", {{"z", 0.1}}}};
  return outer;
}

std::string error_of(std::string_view bytes) {
  try {
    from_bytes<Outer>(bytes, "the sample");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    return error.what();
  }
  return "";
}

std::string bytes_of(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) {
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

TEST(WireBytes, EveryTypeOfFieldComesBack) {
  EXPECT_EQ(from_bytes<Outer>(to_bytes(sample()), "the sample"), sample());
  EXPECT_EQ(from_bytes<Outer>(to_bytes(Outer()), "the sample"), Outer());
  EXPECT_EQ(
      from_bytes<std::vector<std::size_t>>(to_bytes(std::vector<std::size_t>{3, 1}), "a list"),
      (std::vector<std::size_t>{3, 1}));
  EXPECT_EQ(from_bytes<std::string>(to_bytes(std::string("bfloat16")), "a text"), "bfloat16");
}

// Written down by hand: from the lowest byte up, lengths in four bytes.
TEST(WireBytes, AreTheseBytes) {
  EXPECT_EQ(to_bytes(Inner{"ab", -2.0}),
            bytes_of({2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0, 0, 0, 0, 0xc0}));
  EXPECT_EQ(to_bytes(std::optional<int>(-2)), bytes_of({1, 0xfe, 0xff, 0xff, 0xff}));
  EXPECT_EQ(to_bytes(std::optional<int>()), bytes_of({0}));
  EXPECT_EQ(to_bytes(ErrorKind::kNonFinite), bytes_of({7}));
  EXPECT_EQ(to_bytes(std::map<std::string, bool>{{"a", true}}),
            bytes_of({1, 0, 0, 0, 1, 0, 0, 0, 'a', 1}));
}

TEST(WireBytes, DoublesKeepTheirBits) {
  const std::vector<std::uint64_t> odd{0x8000000000000000U, 0x7ff8000000abcdefU,
                                       0xfff0000000000001U, 0x0000000000000001U,
                                       0x7fefffffffffffffU, 0x7ff0000000000000U};
  for (const std::uint64_t bits : odd) {
    const auto value = std::bit_cast<double>(bits);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(from_bytes<double>(to_bytes(value), "a double")), bits);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(
                  from_bytes<Inner>(to_bytes(Inner{"", value}), "an inner").value),
              bits);
  }
}

TEST(WireBytes, CutAnywhereOrLongerIsRefused) {
  const std::string good = to_bytes(sample());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_THAT(error_of(std::string_view(good).substr(0, length)), HasSubstr("the sample"))
        << length;
  }
  EXPECT_THAT(error_of(good + '\0'), HasSubstr(std::to_string(good.size()) + " bytes"));
}

// Whatever comes in: a value whose bytes are exactly these, or the one error.
TEST(WireBytes, GarbageIsReadOrRefused) {
  Random random(20261124);
  const std::string good = to_bytes(sample());
  int num_read = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes = good;
    bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    try {
      const auto value = from_bytes<Outer>(bytes, "the sample");
      EXPECT_EQ(to_bytes(value), bytes);
      ++num_read;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    }
  }
  EXPECT_GT(num_read, 1000);
}

TEST(WireBytes, ValuesThatNobodyWritesAreRefused) {
  EXPECT_THROW(from_bytes<bool>(bytes_of({2}), "a truth value"), Error);
  EXPECT_THROW(from_bytes<ErrorKind>(bytes_of({9}), "a kind"), Error);
  const auto twice = bytes_of({2, 0, 0, 0, 1, 0, 0, 0, 'a', 1, 1, 0, 0, 0, 'a', 1});
  EXPECT_THROW((from_bytes<std::map<std::string, bool>>(twice, "a map")), Error);
  // Four thousand million elements are announced and none comes.
  EXPECT_THROW(from_bytes<std::vector<Inner>>(bytes_of({255, 255, 255, 255}), "a list"), Error);
  EXPECT_THROW(from_bytes<std::string>(bytes_of({255, 255, 255, 255, 'a'}), "a text"), Error);
}

struct Shown {
  std::string host;
  std::int64_t num_ranks = 0;
  double seconds = 0;
  std::optional<std::uint64_t> limit;
  std::map<std::string, std::string> libraries;
  std::vector<Inner> list;

  bool operator==(const Shown&) const = default;
  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("host", self.host);
    visit("num_ranks", self.num_ranks);
    visit("seconds", self.seconds);
    visit("limit", self.limit);
    visit("libraries", self.libraries);
    visit("list", self.list);
  }
};

TEST(WireJson, MembersAreTheFieldsInTheirOrder) {
  const Shown shown{"node1", 2, 0.5, std::nullopt, {{"torch", "2.6"}}, {{"a", 1.0}}};
  EXPECT_EQ(json_object(shown).dump(),
            R"({"host":"node1","num_ranks":2,"seconds":0.5,"limit":null,)"
            R"("libraries":{"torch":"2.6"},"list":[{"name":"a","value":1.0}]})");
  EXPECT_EQ(json_object(Shown()).dump(),
            R"({"host":"","num_ranks":0,"seconds":0.0,"limit":null,"libraries":{},"list":[]})");
}

TEST(WireJson, ComesBackAndMissesNothing) {
  const Shown shown{"node1", 2, 0.1, 7, {{"torch", "2.6"}}, {{"a", 1.0}, {"b", -0.0}}};
  const Json good = Json::parse(json_object(shown).dump());
  Shown back{"other", 9, 9, 9, {{"x", "y"}}, {{"c", 3}}};
  read_json(good, back);
  EXPECT_EQ(back, shown);
  for (const auto& [name, value] : good.items()) {
    Json less = good;
    less.erase(name);
    EXPECT_THROW(read_json(less, back), Json::exception) << name;
  }
  Json odd = good;
  odd["num_ranks"] = "two";
  EXPECT_THROW(read_json(odd, back), Json::exception);
}

}  // namespace
}  // namespace baton::base
