#include "byte_alphabet.hpp"

#include "baton/base/utf8.hpp"

namespace baton::tokenizer {
namespace {

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The other bytes take the characters from U+0100 on, in order.
std::array<char32_t, 256> make_symbols() {
  std::array<char32_t, 256> symbols{};
  char32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    symbols[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return symbols;
}

constexpr std::size_t kNumSymbols = 0x144;  // one past the highest character used, U+0143

}  // namespace

const std::array<std::string, 256>& byte_symbols() {
  static const std::array<std::string, 256> spelled = [] {
    std::array<std::string, 256> result;
    const auto symbols = make_symbols();
    for (std::size_t byte = 0; byte < 256; ++byte) {
      base::append_utf8(symbols[byte], result[byte]);
    }
    return result;
  }();
  return spelled;
}

std::optional<std::uint8_t> symbol_byte(char32_t symbol) {
  static const std::array<int, kNumSymbols> bytes = [] {
    std::array<int, kNumSymbols> result{};
    result.fill(-1);
    const auto symbols = make_symbols();
    for (std::size_t byte = 0; byte < 256; ++byte) {
      result[symbols[byte]] = static_cast<int>(byte);
    }
    return result;
  }();
  if (symbol >= kNumSymbols || bytes[symbol] < 0) {
    return std::nullopt;
  }
  return static_cast<std::uint8_t>(bytes[symbol]);
}

std::string spell_bytes(std::string_view bytes) {
  const auto& symbols = byte_symbols();
  std::string spelled;
  spelled.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    spelled += symbols[static_cast<unsigned char>(byte)];
  }
  return spelled;
}

}  // namespace baton::tokenizer
