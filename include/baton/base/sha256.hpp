#pragma once
// SHA-256 (OpenSSL) of bytes and files, as 64 lower-case hexadecimal digits.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace baton::base {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& add(std::span<const std::byte> bytes);
  Sha256& add(std::string_view text);
  /// Length first, then the bytes: ("ab","c") and ("a","bc") differ.
  Sha256& add_field(std::string_view text);
  std::string hex();  // ends the computation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view text);
/// An unreadable file is a kStorage error.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace baton::base
