#include "baton/base/wire.hpp"

#include <array>

namespace baton::base {

namespace {

constexpr std::array kErrorKinds{
    ErrorKind::kUsage,   ErrorKind::kData,          ErrorKind::kModel,
    ErrorKind::kStorage, ErrorKind::kCommunication, ErrorKind::kNonFinite,
    ErrorKind::kHang,    ErrorKind::kStopped,       ErrorKind::kInternal};

}  // namespace

void ByteReader::get(ErrorKind& kind) {
  const auto code = bits<std::uint8_t>();
  for (const ErrorKind known : kErrorKinds) {
    if (exit_code(known) == code) {
      kind = known;
      return;
    }
  }
  refuse("a known kind of failure", "number " + std::to_string(code));
}

void ByteReader::end() const {
  if (at_ != bytes_.size()) {
    refuse(std::to_string(at_) + " bytes", std::to_string(bytes_.size()) + " bytes");
  }
}

void ByteReader::refuse(const std::string& expected, const std::string& found) const {
  throw Error(
      ErrorKind::kCommunication, what_ + " cannot be read",
      {.expected = expected,
       .found = found,
       .fix = "start all ranks with the same build of the program; if they are, the network "
              "or the memory of a machine is at fault"});
}

std::string_view ByteReader::take(std::size_t count) {
  if (bytes_.size() - at_ < count) {
    refuse(std::to_string(count) + " more bytes at byte " + std::to_string(at_),
           "a message of " + std::to_string(bytes_.size()) + " bytes");
  }
  const std::string_view part = bytes_.substr(at_, count);
  at_ += count;
  return part;
}

}  // namespace baton::base
