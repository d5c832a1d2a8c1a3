#include "normalizer.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace baton::tokenizer {

Normalizer Normalizer::from_json(const JsonPart& part) {
  Normalizer normalizer;
  if (part.is_null()) {
    return normalizer;
  }
  const std::string type = part.type();
  if (type == "NFC") {
    normalizer.composes_ = true;
  } else if (type == "Sequence") {
    for (const JsonPart& element : part.at("normalizers").elements()) {
      normalizer.composes_ = from_json(element).composes_ || normalizer.composes_;
    }
  } else {
    part.refuse("null, NFC or a Sequence of these", "type " + type);
  }
  return normalizer;
}

std::string Normalizer::apply(std::string_view text) const {
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  if (!composes_ || is_ascii) {
    return std::string(text);
  }
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  struct Free {
    void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
  };
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
  BATON_ASSERT(size >= 0, fmt::format("NFC of {} bytes: {}", text.size(), utf8proc_errmsg(size)));
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size)};
}

}  // namespace baton::tokenizer
