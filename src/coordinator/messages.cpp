#include "baton/coordinator/messages.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

#include "baton/base/wire.hpp"

namespace baton::coordinator {
namespace {

constexpr const char* kMessage = "a message between coordinator and worker";

// Kinds of the two directions differ, so that bytes sent the wrong way are seen.
template <typename Message>
constexpr std::uint8_t kKind = 0;
template <>
constexpr std::uint8_t kKind<Ready> = 1;
template <>
constexpr std::uint8_t kKind<Progress> = 2;
template <>
constexpr std::uint8_t kKind<Finished> = 3;
template <>
constexpr std::uint8_t kKind<Failed> = 4;
template <>
constexpr std::uint8_t kKind<Stopped> = 5;
template <>
constexpr std::uint8_t kKind<Assign> = 65;
template <>
constexpr std::uint8_t kKind<Stop> = 66;
template <>
constexpr std::uint8_t kKind<Leave> = 67;

template <typename Message>
std::string written(const Message& message) {
  base::ByteWriter writer;
  writer.put(kProtocolVersion);
  writer.put(kKind<Message>);
  writer.put(message);
  return writer.take();
}

template <typename Variant, std::size_t Index = 0>
Variant read_as(std::uint8_t kind, base::ByteReader& reader) {
  if constexpr (Index == std::variant_size_v<Variant>) {
    reader.refuse("a known kind of message in this direction", fmt::format("kind {}", kind));
  } else {
    using Message = std::variant_alternative_t<Index, Variant>;
    if (kind != kKind<Message>) {
      return read_as<Variant, Index + 1>(kind, reader);
    }
    Message message;
    reader.get(message);
    reader.end();
    return message;
  }
}

// The version is looked at first: nothing behind another one can be understood.
template <typename Variant>
Variant message_from(const std::string& bytes) {
  base::ByteReader reader(bytes, kMessage);
  std::uint8_t version = 0;
  reader.get(version);
  if (version != kProtocolVersion) {
    reader.refuse(
        fmt::format("protocol version {}", kProtocolVersion),
        fmt::format("version {}: the ranks run different builds of the program", version));
  }
  std::uint8_t kind = 0;
  reader.get(kind);
  return read_as<Variant>(kind, reader);
}

}  // namespace

std::string to_bytes(const ToCoordinator& message) {
  return std::visit([](const auto& known) { return written(known); }, message);
}

std::string to_bytes(const ToWorker& message) {
  return std::visit([](const auto& known) { return written(known); }, message);
}

ToCoordinator to_coordinator_from(const std::string& bytes) {
  return message_from<ToCoordinator>(bytes);
}

ToWorker to_worker_from(const std::string& bytes) {
  return message_from<ToWorker>(bytes);
}

}  // namespace baton::coordinator
