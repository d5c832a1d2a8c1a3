#pragma once
// The byte-level alphabet of GPT-2: every byte has one printable character, so that a vocabulary of
// ordinary strings can hold any bytes.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton::tokenizer {

/// The UTF-8 spelling of each byte's character.
const std::array<std::string, 256>& byte_symbols();

/// The byte a character stands for, if it belongs to the alphabet.
std::optional<std::uint8_t> symbol_byte(char32_t symbol);

/// The bytes in the alphabet's spelling.
std::string spell_bytes(std::string_view bytes);

}  // namespace baton::tokenizer
