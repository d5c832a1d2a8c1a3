#include "baton/coordinator/messages.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

namespace baton::coordinator {
namespace {

// Kinds of the two directions differ, so that bytes sent the wrong way are seen.
enum class Kind : std::uint8_t {
  kReady = 1,
  kProgress = 2,
  kFinished = 3,
  kFailed = 4,
  kStopped = 5,
  kAssign = 65,
  kStop = 66,
  kLeave = 67,
};

constexpr std::array kErrorKinds{
    base::ErrorKind::kUsage,   base::ErrorKind::kData,          base::ErrorKind::kModel,
    base::ErrorKind::kStorage, base::ErrorKind::kCommunication, base::ErrorKind::kNonFinite,
    base::ErrorKind::kHang,    base::ErrorKind::kStopped,       base::ErrorKind::kInternal};

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw base::Error(base::ErrorKind::kCommunication,
                    "a message between coordinator and worker cannot be read",
                    {.where = "the coordinator's protocol",
                     .expected = expected,
                     .found = found,
                     .fix = "start all ranks with the same build of the program; if they are, the "
                            "network or the memory of a machine is at fault"});
}

class Writer {
 public:
  explicit Writer(Kind kind) {
    put(kProtocolVersion);
    put(static_cast<std::uint8_t>(kind));
  }

  void put(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void put(int value) { put_bits(static_cast<std::uint32_t>(std::int32_t{value})); }
  void put(std::int64_t value) { put_bits(static_cast<std::uint64_t>(value)); }
  void put(double value) { put_bits(std::bit_cast<std::uint64_t>(value)); }
  void put(base::ErrorKind kind) { put(static_cast<std::uint8_t>(base::exit_code(kind))); }
  void put(const std::string& text) {
    BATON_ASSERT(text.size() <= std::numeric_limits<std::uint32_t>::max(),
                 fmt::format("a text of {} bytes in a message", text.size()));
    put_bits(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }

  std::string take() { return std::move(bytes_); }

 private:
  template <typename Bits>
  void put_bits(Bits bits) {
    for (std::size_t i = 0; i < sizeof(Bits); ++i) {
      bytes_.push_back(static_cast<char>((bits >> (8 * i)) & 0xffU));
    }
  }

  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  /// The version is looked at first: nothing behind another one can be understood.
  Kind begin() {
    std::uint8_t version = 0;
    get(version);
    if (version != kProtocolVersion) {
      refuse(fmt::format("protocol version {}", kProtocolVersion),
             fmt::format("version {}: the ranks run different builds of the program", version));
    }
    std::uint8_t kind = 0;
    get(kind);
    return static_cast<Kind>(kind);
  }

  void get(std::uint8_t& value) { value = static_cast<std::uint8_t>(take(1)[0]); }
  void get(int& value) { value = static_cast<std::int32_t>(bits<std::uint32_t>()); }
  void get(std::int64_t& value) { value = static_cast<std::int64_t>(bits<std::uint64_t>()); }
  void get(double& value) { value = std::bit_cast<double>(bits<std::uint64_t>()); }
  void get(std::string& text) { text = take(bits<std::uint32_t>()); }
  void get(base::ErrorKind& kind) {
    std::uint8_t code = 0;
    get(code);
    for (const base::ErrorKind known : kErrorKinds) {
      if (base::exit_code(known) == code) {
        kind = known;
        return;
      }
    }
    refuse("a known kind of failure", fmt::format("number {}", code));
  }

  void end() const {
    if (at_ != bytes_.size()) {
      refuse(fmt::format("a message of {} bytes", at_), fmt::format("{} bytes", bytes_.size()));
    }
  }

 private:
  std::string_view take(std::size_t count) {
    if (bytes_.size() - at_ < count) {
      refuse(fmt::format("{} more bytes at byte {}", count, at_),
             fmt::format("a message of {} bytes", bytes_.size()));
    }
    const std::string_view part = std::string_view(bytes_).substr(at_, count);
    at_ += count;
    return part;
  }

  template <typename Bits>
  Bits bits() {
    Bits value = 0;
    const std::string_view part = take(sizeof(Bits));
    for (std::size_t i = 0; i < sizeof(Bits); ++i) {
      value |= static_cast<Bits>(static_cast<Bits>(static_cast<std::uint8_t>(part[i])) << (8 * i));
    }
    return value;
  }

  const std::string& bytes_;
  std::size_t at_ = 0;
};

// One line a message: its kind and the order of its fields, for writing and for reading alike.
template <typename Message>
struct Layout;
template <>
struct Layout<Ready> {
  static constexpr Kind kKind = Kind::kReady;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.num_ranks);
  }
};
template <>
struct Layout<Progress> {
  static constexpr Kind kKind = Kind::kProgress;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.item), f(m.step), f(m.num_steps), f(m.loss), f(m.tokens_per_second);
  }
};
template <>
struct Layout<Finished> {
  static constexpr Kind kKind = Kind::kFinished;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.item), f(m.payload);
  }
};
template <>
struct Layout<Failed> {
  static constexpr Kind kKind = Kind::kFailed;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.item), f(m.kind), f(m.text);
  }
};
template <>
struct Layout<Stopped> {
  static constexpr Kind kKind = Kind::kStopped;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.item);
  }
};
template <>
struct Layout<Assign> {
  static constexpr Kind kKind = Kind::kAssign;
  template <typename M, typename F>
  static void each(M& m, F f) {
    f(m.item), f(m.attempt);
  }
};
template <>
struct Layout<Stop> {
  static constexpr Kind kKind = Kind::kStop;
  template <typename M, typename F>
  static void each(M& /*m*/, F /*f*/) {}
};
template <>
struct Layout<Leave> {
  static constexpr Kind kKind = Kind::kLeave;
  template <typename M, typename F>
  static void each(M& /*m*/, F /*f*/) {}
};

template <typename Message>
std::string written(const Message& message) {
  Writer writer(Layout<Message>::kKind);
  Layout<Message>::each(message, [&](const auto& field) { writer.put(field); });
  return writer.take();
}

template <typename Variant, std::size_t Index = 0>
Variant read_as(Kind kind, Reader& reader) {
  if constexpr (Index == std::variant_size_v<Variant>) {
    refuse("a known kind of message in this direction",
           fmt::format("kind {}", static_cast<int>(kind)));
  } else {
    using Message = std::variant_alternative_t<Index, Variant>;
    if (kind != Layout<Message>::kKind) {
      return read_as<Variant, Index + 1>(kind, reader);
    }
    Message message;
    Layout<Message>::each(message, [&](auto& field) { reader.get(field); });
    reader.end();
    return message;
  }
}

template <typename Variant>
Variant from_bytes(const std::string& bytes) {
  Reader reader(bytes);
  const Kind kind = reader.begin();
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
  return from_bytes<ToCoordinator>(bytes);
}

ToWorker to_worker_from(const std::string& bytes) {
  return from_bytes<ToWorker>(bytes);
}

}  // namespace baton::coordinator
