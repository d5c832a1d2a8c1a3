#pragma once
// One list of fields for every encoding. A struct that is stored or sent names its fields once:
//
//   struct Progress {
//     int item = 0;
//     double loss = 0;
//     template <typename Self, typename Visit>
//     static void fields(Self& self, Visit&& visit) {
//       visit("item", self.item);
//       visit("loss", self.loss);
//     }
//   };
//
// and a codec is a visitor of them. Two are here: bytes, which go from one rank to another
// (little-endian, self-delimiting, every double with its bits), and JSON, which people read. The
// HDF5 facts and the digests of a file are visitors too (checkpoint). A field may be a whole number,
// a double, a truth value, a text, a kind of error, another struct with fields, or a list, an option
// or a map by text of these.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"

namespace baton::base {

/// A visitor that takes any field and does nothing: what HasFields asks with.
struct AnyField {
  template <typename Value>
  void operator()(const char* /*name*/, Value& /*value*/) const {}
};

template <typename T>
concept HasFields = requires(T& value, AnyField visit) {
  T::fields(value, visit);
};

// ---- bytes

class ByteWriter {
 public:
  template <typename T>
  void put(const T& value) {
    if constexpr (HasFields<T>) {
      T::fields(value, [this](const char* /*name*/, const auto& field) { put(field); });
    } else if constexpr (std::same_as<T, double>) {
      put_bits(std::bit_cast<std::uint64_t>(value));
    } else if constexpr (std::same_as<T, bool>) {
      put_bits(static_cast<std::uint8_t>(value));
    } else {
      static_assert(std::integral<T>, "a field that this writer does not know");
      put_bits(static_cast<std::make_unsigned_t<T>>(value));
    }
  }
  void put(ErrorKind kind) { put(static_cast<std::uint8_t>(exit_code(kind))); }
  void put(const std::string& text) {
    put_size(text.size());
    bytes_ += text;
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    put_size(list.size());
    for (const T& element : list) {
      put(element);
    }
  }
  template <typename T>
  void put(const std::optional<T>& option) {
    put(option.has_value());
    if (option) {
      put(*option);
    }
  }
  template <typename T>
  void put(const std::map<std::string, T>& map) {
    put_size(map.size());
    for (const auto& [name, value] : map) {
      put(name);
      put(value);
    }
  }

  std::string take() { return std::move(bytes_); }

 private:
  void put_size(std::size_t size) {
    BATON_ASSERT(size <= std::numeric_limits<std::uint32_t>::max(),
                 std::to_string(size) + " elements in one field");
    put_bits(static_cast<std::uint32_t>(size));
  }
  template <typename Bits>
  void put_bits(Bits bits) {
    for (std::size_t i = 0; i < sizeof(Bits); ++i) {
      bytes_.push_back(static_cast<char>((std::uint64_t{bits} >> (8 * i)) & 0xffU));
    }
  }

  std::string bytes_;
};

/// Reads what ByteWriter wrote and refuses everything else: bytes that are read are those that the
/// values read would be written as.
class ByteReader {
 public:
  /// `bytes` outlives the reader; `what` is what an error calls them.
  ByteReader(std::string_view bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  template <typename T>
  void get(T& value) {
    if constexpr (HasFields<T>) {
      T::fields(value, [this](const char* /*name*/, auto& field) { get(field); });
    } else if constexpr (std::same_as<T, double>) {
      value = std::bit_cast<double>(bits<std::uint64_t>());
    } else {
      static_assert(std::integral<T>, "a field that this reader does not know");
      value = static_cast<T>(bits<std::make_unsigned_t<T>>());
    }
  }
  void get(bool& value) {
    const auto byte = bits<std::uint8_t>();
    if (byte > 1) {
      refuse("0 or 1", "number " + std::to_string(byte));
    }
    value = byte == 1;
  }
  void get(ErrorKind& kind);
  void get(std::string& text) { text = take(bits<std::uint32_t>()); }
  template <typename T>
  void get(std::vector<T>& list) {
    const auto size = bits<std::uint32_t>();
    list.clear();  // not made room for: the number may be damaged
    for (std::uint32_t i = 0; i < size; ++i) {
      list.push_back(next<T>());
    }
  }
  template <typename T>
  void get(std::optional<T>& option) {
    option = next<bool>() ? std::optional<T>(next<T>()) : std::nullopt;
  }
  template <typename T>
  void get(std::map<std::string, T>& map) {
    const auto size = bits<std::uint32_t>();
    map.clear();
    for (std::uint32_t i = 0; i < size; ++i) {
      auto name = next<std::string>();
      if (!map.empty() && name <= map.rbegin()->first) {
        refuse("names in rising order", "\"" + name + "\"");
      }
      map.emplace(std::move(name), next<T>());
    }
  }

  /// kCommunication unless everything was read.
  void end() const;
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const;

 private:
  template <typename T>
  T next() {
    T value{};
    get(value);
    return value;
  }
  std::string_view take(std::size_t count);
  template <typename Bits>
  Bits bits() {
    Bits value = 0;
    const std::string_view part = take(sizeof(Bits));
    for (std::size_t i = 0; i < sizeof(Bits); ++i) {
      value |= static_cast<Bits>(static_cast<Bits>(static_cast<std::uint8_t>(part[i])) << (8 * i));
    }
    return value;
  }

  std::string_view bytes_;
  std::string what_;
  std::size_t at_ = 0;
};

template <typename T>
std::string to_bytes(const T& value) {
  ByteWriter writer;
  writer.put(value);
  return writer.take();
}

/// Bytes that are cut short, too long or not as they were written: kCommunication, calling them
/// `what`.
template <typename T>
T from_bytes(std::string_view bytes, const std::string& what) {
  ByteReader reader(bytes, what);
  T value{};
  reader.get(value);
  reader.end();
  return value;
}

// ---- JSON

/// An object with a member a field, in the order of the fields; null for an option without a value.
template <HasFields T>
OrderedJson json_object(const T& value);

template <typename T>
OrderedJson json_of(const T& value) {
  if constexpr (HasFields<T>) {
    return json_object(value);
  } else {
    return value;
  }
}
template <typename T>
OrderedJson json_of(const std::optional<T>& option) {
  return option ? json_of(*option) : OrderedJson();
}
template <typename T>
OrderedJson json_of(const std::vector<T>& list) {
  OrderedJson json = OrderedJson::array();
  for (const T& element : list) {
    json.push_back(json_of(element));
  }
  return json;
}

template <HasFields T>
OrderedJson json_object(const T& value) {
  OrderedJson json = OrderedJson::object();
  T::fields(value, [&json](const char* name, const auto& field) { json[name] = json_of(field); });
  return json;
}

template <typename T>
void read_json(const Json& json, std::optional<T>& option);
template <typename T>
void read_json(const Json& json, std::vector<T>& list);

/// A member that is missing or of another type: a Json::exception, for the caller to put into words.
template <typename T>
void read_json(const Json& json, T& value) {
  if constexpr (HasFields<T>) {
    T::fields(value, [&json](const char* name, auto& field) { read_json(json.at(name), field); });
  } else {
    value = json.get<T>();
  }
}
template <typename T>
void read_json(const Json& json, std::optional<T>& option) {
  option.reset();
  if (!json.is_null()) {
    read_json(json, option.emplace());
  }
}
template <typename T>
void read_json(const Json& json, std::vector<T>& list) {
  list.clear();
  for (const Json& element : json) {
    read_json(element, list.emplace_back());
  }
}

}  // namespace baton::base
