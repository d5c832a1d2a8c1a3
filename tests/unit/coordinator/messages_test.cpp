#include "baton/coordinator/messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "baton/base/seed.hpp"

namespace baton::coordinator {
namespace {

using ::testing::HasSubstr;

std::string bytes_of(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) {
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    return error.what();
  }
  return "";
}

std::vector<std::string> samples_to_coordinator() {
  return {to_bytes(ToCoordinator(Ready{7})), to_bytes(ToCoordinator(Progress{3, 1, 2, 0.5, 1e3})),
          to_bytes(ToCoordinator(Finished{3, "payload"})),
          to_bytes(ToCoordinator(Failed{3, base::ErrorKind::kStorage, "no space"})),
          to_bytes(ToCoordinator(Stopped{-1}))};
}

std::vector<std::string> samples_to_worker() {
  return {to_bytes(ToWorker(Assign{1, 2})), to_bytes(ToWorker(Stop{})),
          to_bytes(ToWorker(Leave{}))};
}

// Written down by hand: version, kind, then the fields from the lowest byte up.
TEST(Messages, BytesByHand) {
  EXPECT_EQ(to_bytes(ToCoordinator(Ready{0x01020304})), bytes_of({2, 1, 4, 3, 2, 1}));
  EXPECT_EQ(to_bytes(ToCoordinator(Progress{5, -2, 0x0102030405060708, 1.0, -2.0})),
            bytes_of({2,    2,    5,    0,    0,    0,                 // item
                      0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // -2
                      8,    7,    6,    5,    4,    3,    2,    1,     // steps
                      0,    0,    0,    0,    0,    0,    0xf0, 0x3f,  // 1.0
                      0,    0,    0,    0,    0,    0,    0,    0xc0,  // -2.0
                      0}));                                            // no validation
  EXPECT_EQ(to_bytes(ToCoordinator(Finished{2, "ab"})),
            bytes_of({2, 3, 2, 0, 0, 0, 2, 0, 0, 0, 'a', 'b'}));
  EXPECT_EQ(to_bytes(ToCoordinator(Failed{2, base::ErrorKind::kNonFinite, "x"})),
            bytes_of({2, 4, 2, 0, 0, 0, 7, 1, 0, 0, 0, 'x'}));
  EXPECT_EQ(to_bytes(ToCoordinator(Stopped{-1})), bytes_of({2, 5, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_EQ(to_bytes(ToWorker(Assign{258, 3})), bytes_of({2, 65, 2, 1, 0, 0, 3, 0, 0, 0}));
  EXPECT_EQ(to_bytes(ToWorker(Stop{})), bytes_of({2, 66}));
  EXPECT_EQ(to_bytes(ToWorker(Leave{})), bytes_of({2, 67}));
}

TEST(Messages, ComeBackWhole) {
  const std::int64_t big = std::numeric_limits<std::int64_t>::max();
  const double infinite = std::numeric_limits<double>::infinity();
  const auto progress = std::get<Progress>(to_coordinator_from(to_bytes(ToCoordinator(
      Progress{std::numeric_limits<int>::max(), big, -big, std::nan(""), infinite}))));
  EXPECT_EQ(progress.item, std::numeric_limits<int>::max());
  EXPECT_EQ(progress.step, big);
  EXPECT_EQ(progress.num_steps, -big);
  EXPECT_TRUE(std::isnan(progress.loss));
  EXPECT_EQ(progress.tokens_per_second, infinite);

  std::string every_byte;
  for (int value = 0; value < 256; ++value) {
    every_byte.push_back(static_cast<char>(value));
  }
  const auto finished =
      std::get<Finished>(to_coordinator_from(to_bytes(ToCoordinator(Finished{0, every_byte}))));
  EXPECT_EQ(finished.payload, every_byte);
  const auto assign = std::get<Assign>(to_worker_from(to_bytes(ToWorker(Assign{9, 4}))));
  EXPECT_EQ(assign.item, 9);
  EXPECT_EQ(assign.attempt, 4);
}

TEST(Messages, EveryKindOfFailureComesBack) {
  using base::ErrorKind;
  for (const ErrorKind kind :
       {ErrorKind::kUsage, ErrorKind::kData, ErrorKind::kModel, ErrorKind::kStorage,
        ErrorKind::kCommunication, ErrorKind::kNonFinite, ErrorKind::kHang, ErrorKind::kStopped,
        ErrorKind::kInternal}) {
    const auto failed =
        std::get<Failed>(to_coordinator_from(to_bytes(ToCoordinator(Failed{1, kind, "why"}))));
    EXPECT_EQ(failed.kind, kind) << base::kind_name(kind);
    EXPECT_EQ(failed.text, "why");
  }
  EXPECT_THAT(error_of([] {
                to_coordinator_from(bytes_of({2, 4, 2, 0, 0, 0, 9, 0, 0, 0, 0}));
              }),
              HasSubstr("number 9"));
}

TEST(Messages, AnotherVersionIsNamedWhateverFollows) {
  for (const std::string& sample : samples_to_coordinator()) {
    std::string other = sample;
    other[0] = 1;
    const std::string text = error_of([&] { to_coordinator_from(other); });
    EXPECT_THAT(text, HasSubstr("protocol version 2"));
    EXPECT_THAT(text, HasSubstr("version 1"));
    EXPECT_THAT(text, HasSubstr("different builds"));
  }
  EXPECT_THAT(error_of([] { to_worker_from(bytes_of({0})); }), HasSubstr("different builds"));
  EXPECT_THAT(error_of([] { to_worker_from(bytes_of({200, 1, 2, 3})); }), HasSubstr("version 200"));
}

TEST(Messages, CutAnywhereOrLongerIsRefused) {
  for (const std::string& sample : samples_to_coordinator()) {
    for (std::size_t length = 0; length < sample.size(); ++length) {
      EXPECT_NE(error_of([&] { to_coordinator_from(sample.substr(0, length)); }), "")
          << static_cast<int>(sample[1]) << " cut to " << length;
    }
    EXPECT_THAT(error_of([&] { to_coordinator_from(sample + '\0'); }), HasSubstr("bytes"));
  }
  for (const std::string& sample : samples_to_worker()) {
    for (std::size_t length = 0; length < sample.size(); ++length) {
      EXPECT_NE(error_of([&] { to_worker_from(sample.substr(0, length)); }), "");
    }
    EXPECT_NE(error_of([&] { to_worker_from(sample + "x"); }), "");
  }
}

TEST(Messages, SentTheWrongWayIsRefused) {
  for (const std::string& sample : samples_to_coordinator()) {
    EXPECT_THAT(error_of([&] { to_worker_from(sample); }), HasSubstr("kind"));
  }
  for (const std::string& sample : samples_to_worker()) {
    EXPECT_THAT(error_of([&] { to_coordinator_from(sample); }), HasSubstr("kind"));
  }
}

// Whatever comes in: either a message whose bytes are exactly these, or the one error; nothing else
// is thrown and nothing is read beyond the end (the sanitized build would say so).
TEST(Messages, GarbageIsReadOrRefused) {
  base::Random random(20240607);
  std::vector<std::string> samples = samples_to_coordinator();
  const std::vector<std::string> more = samples_to_worker();
  samples.insert(samples.end(), more.begin(), more.end());
  int num_read = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string bytes = samples[random.below(samples.size())];
    if (round % 4 == 0) {
      bytes.assign(random.below(40), '\0');
      for (char& byte : bytes) {
        byte = static_cast<char>(random.below(256));
      }
    } else {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      bytes.resize(bytes.size() - (round % 3 == 0 ? random.below(bytes.size()) : 0));
    }
    try {
      EXPECT_EQ(to_bytes(to_coordinator_from(bytes)), bytes);
      ++num_read;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    }
    try {
      EXPECT_EQ(to_bytes(to_worker_from(bytes)), bytes);
      ++num_read;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCommunication);
    }
  }
  EXPECT_GT(num_read, 1000);
}

}  // namespace
}  // namespace baton::coordinator
