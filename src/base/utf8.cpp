#include "baton/base/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

namespace baton::base {

// Letters and numbers of Unicode 14.1 to 16; naming one that the library already knows does no
// harm.
const char* const kNewerLetters =
    "\\x{1C89}\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}"
    "\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}\\x{11240}"
    "\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"
    "\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}"
    "\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"
    "\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"
    "\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}"
    "\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}";
const char* const kNewerNumbers =
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}"
    "\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}"
    "\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}";

char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char first = byte(position++);
  if (first < 0x80) {
    return first;
  }
  int num_following = 1;
  char32_t code_point = first & 0x1FU;
  if (first >= 0xF0) {
    num_following = 3;
    code_point = first & 0x07U;
  } else if (first >= 0xE0) {
    num_following = 2;
    code_point = first & 0x0FU;
  }
  for (; num_following > 0 && position < text.size(); --num_following) {
    code_point = (code_point << 6) | (byte(position++) & 0x3FU);
  }
  return code_point;
}

std::size_t previous_start(std::string_view text, std::size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
  return end;
}

void append_utf8(char32_t code_point, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

bool is_white_space(char32_t code_point) {
  switch (code_point) {
    case 0x20:
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return (code_point >= 0x09 && code_point <= 0x0D) ||
             (code_point >= 0x2000 && code_point <= 0x200A);
  }
}

bool is_numeric(char32_t code_point) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) {
    return true;
  }
  // Numbers of Unicode 15.1 to 17.
  static constexpr std::array<std::pair<char32_t, char32_t>, 9> kNewer = {{{0x10D40, 0x10D49},
                                                                           {0x116D0, 0x116E3},
                                                                           {0x11BF0, 0x11BF9},
                                                                           {0x11DE0, 0x11DE9},
                                                                           {0x16130, 0x16139},
                                                                           {0x16D70, 0x16D79},
                                                                           {0x16FF4, 0x16FF6},
                                                                           {0x1CCF0, 0x1CCF9},
                                                                           {0x1E5F1, 0x1E5FA}}};
  return std::any_of(kNewer.begin(), kNewer.end(), [&](const auto& range) {
    return code_point >= range.first && code_point <= range.second;
  });
}

namespace {

// The length of the valid sequence at `begin`, or 0; `num_bad` is then how many bytes one U+FFFD
// stands for.
std::size_t sequence_length(std::string_view bytes, std::size_t begin, std::size_t& num_bad) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
  const unsigned char first = byte(begin);
  num_bad = 1;
  if (first < 0x80) {
    return 1;
  }
  if (first < 0xC2 || first > 0xF4) {
    return 0;
  }
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first == 0xE0) {
    low = 0xA0;
  } else if (first == 0xED) {
    high = 0x9F;
  } else if (first == 0xF0) {
    low = 0x90;
  } else if (first == 0xF4) {
    high = 0x8F;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (begin + i >= bytes.size() || byte(begin + i) < low || byte(begin + i) > high) {
      num_bad = i;
      return 0;
    }
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

}  // namespace

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  std::size_t position = 0;
  while (position < bytes.size()) {
    std::size_t num_bad = 0;
    const std::size_t length = sequence_length(bytes, position, num_bad);
    if (length > 0) {
      text.append(bytes.substr(position, length));
      position += length;
    } else {
      text += "\xEF\xBF\xBD";
      position += num_bad;
    }
  }
  return text;
}

}  // namespace baton::base
