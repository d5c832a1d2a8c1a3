#include "baton/run/tensorboard_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <boost/crc.hpp>
#include <cmath>
#include <string_view>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"
#include "baton/device/host.hpp"

namespace baton::run {

namespace {

constexpr const char* kNamePart = "tfevents";  // by which TensorBoard knows the file

template <typename Bits>
std::string little_endian(Bits bits) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(Bits); ++i) {
    bytes.push_back(static_cast<char>((bits >> (8 * i)) & 0xffU));
  }
  return bytes;
}

std::uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;  // CRC-32C
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8U;
}

// ---- protobuf's wire format

enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) {
    bytes.push_back(static_cast<char>((value & 0x7f) | 0x80));
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string key(int field, Wire wire) {
  return varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
}

std::string bytes_field(int field, const std::string& bytes) {
  return key(field, Wire::kBytes) + varint(bytes.size()) + bytes;
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5.
std::string event_at(double time) {
  return key(1, Wire::kFixed64) + little_endian(std::bit_cast<std::uint64_t>(time));
}

// Summary: value = 1 of {tag = 1, simple_value = 2}.
std::string summary_of(std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    const auto value = std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value));
    summary +=
        bytes_field(1, bytes_field(1, scalar.tag) + key(2, Wire::kFixed32) + little_endian(value));
  }
  return summary;
}

void remove_event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> old;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(kNamePart) != std::string::npos) {
      old.push_back(entry.path());
    }
  }
  for (const std::filesystem::path& path : old) {
    std::filesystem::remove(path);
  }
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& found) {
  throw base::Error(base::ErrorKind::kStorage, "cannot write TensorBoard's event file",
                    {.where = path.string(),
                     .found = found,
                     .fix = "free space, raise the quota or set output.tensorboard to false, then "
                            "run the same command again"});
}

}  // namespace

TensorboardFile::TensorboardFile(const std::filesystem::path& folder, double time) {
  base::make_directories(folder);
  try {
    remove_event_files(folder);
  } catch (const std::filesystem::filesystem_error& error) {
    refuse(folder, error.what());
  }
  // A name of its own each time: a TensorBoard that is looking takes it for another file.
  path_ = folder / fmt::format("events.out.{}.{:.0f}.{}.{}", kNamePart, std::floor(time),
                               device::host_name(), ::getpid());
  file_.open(path_, std::ios::binary | std::ios::trunc);
  append(event_at(time) + bytes_field(3, "brain.Event:2"));
}

void TensorboardFile::write(std::int64_t step, double time, std::span<const Scalar> scalars) {
  append(event_at(time) + key(2, Wire::kVarint) + varint(static_cast<std::uint64_t>(step)) +
         bytes_field(5, summary_of(scalars)));
}

void TensorboardFile::append(const std::string& event) {
  const std::string length = little_endian(std::uint64_t{event.size()});
  file_ << length << little_endian(masked_crc(length)) << event << little_endian(masked_crc(event))
        << std::flush;
  if (!file_) {
    refuse(path_, "a write that failed");
  }
}

}  // namespace baton::run
