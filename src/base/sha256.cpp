#include "baton/base/sha256.hpp"

#include <openssl/evp.h>

#include <array>

#include "baton/base/error.hpp"
#include "baton/base/file.hpp"

namespace baton::base {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { check(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  static void check(bool fine) { BATON_ASSERT(fine, "SHA-256 is not available in OpenSSL"); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::add(std::span<const std::byte> bytes) {
  State::check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256& Sha256::add(std::string_view text) {
  return add(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

Sha256& Sha256::add_field(std::string_view text) {
  add(std::to_string(text.size()) + ":");
  return add(text);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  State::check(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1);
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::string sha256_hex(std::string_view text) {
  return Sha256().add(text).hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  const MappedFile file(path, ErrorKind::kStorage);
  return Sha256().add(file.bytes()).hex();
}

}  // namespace baton::base
