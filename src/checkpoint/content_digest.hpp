#pragma once
// The canonical form of a file's content, for the SHA-256 inside it: every fact as name and value,
// each with its length in front; numbers as decimal integers or as the bits of the double.

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "baton/base/sha256.hpp"

namespace baton::checkpoint {

class ContentDigest {
 public:
  explicit ContentDigest(std::string_view what) { digest_.add_field(what); }

  ContentDigest& add(std::string_view name, std::string_view value) {
    digest_.add_field(name).add_field(value);
    return *this;
  }
  ContentDigest& add_int(std::string_view name, std::int64_t value) {
    return add(name, std::to_string(value));
  }
  ContentDigest& add_unsigned(std::string_view name, std::uint64_t value) {
    return add(name, std::to_string(value));
  }
  ContentDigest& add_real(std::string_view name, double value) {
    return add_unsigned(name, std::bit_cast<std::uint64_t>(value));
  }
  std::string hex() { return digest_.hex(); }

 private:
  base::Sha256 digest_;
};

}  // namespace baton::checkpoint
