#include "normalizer.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "baton/base/utf8.hpp"

namespace baton::tokenizer {
namespace {

// Marks and compositions newer than Unicode 9: the library that these files are made for knows none
// of them, so they neither change places nor join with others.
constexpr std::array<std::pair<char32_t, char32_t>, 38> kNewerMarks = {
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
     {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
     {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
     {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
     {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
     {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
     {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
     {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
     {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}}};

bool is_newer_mark(char32_t code_point) {
  const auto range =
      std::lower_bound(kNewerMarks.begin(), kNewerMarks.end(), code_point,
                       [](const auto& entry, char32_t value) { return entry.second < value; });
  return range != kNewerMarks.end() && code_point >= range->first;
}

std::string compose(std::string_view text) {
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

std::string replace_each(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size() * 2);
  std::size_t begin = 0;
  for (std::size_t found = text.find(from); found != std::string_view::npos;
       found = text.find(from, begin)) {
    result.append(text.substr(begin, found - begin)).append(to);
    begin = found + from.size();
  }
  return result.append(text.substr(begin));
}

std::string compose_known(std::string_view text) {
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  if (is_ascii) {
    return std::string(text);
  }
  std::string result;
  std::size_t begin = 0;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t start = position;
    if (is_newer_mark(base::next_code_point(text, position))) {
      result += compose(text.substr(begin, start - begin));
      result += text.substr(start, position - start);
      begin = position;
    }
  }
  return result + compose(text.substr(begin));
}

}  // namespace

Normalizer Normalizer::from_json(const JsonPart& part) {
  Normalizer normalizer;
  if (!part.is_null()) {
    normalizer.add(part);
  }
  return normalizer;
}

void Normalizer::add(const JsonPart& part) {
  const std::string type = part.type();
  if (type == "NFC") {
    // Twice is as once; so it was written down before there were other steps.
    if (steps_.empty() || steps_.back().meaning != type) {
      steps_.push_back({compose_known, type});
    }
  } else if (type == "Prepend") {
    const std::string before = part.at("prepend").text();
    steps_.push_back({[before](std::string_view text) {
                        return text.empty() ? std::string() : before + std::string(text);
                      },
                      "before every text " + before, true});
  } else if (type == "Replace") {
    const JsonPart pattern = part.at("pattern").at("String");
    const std::string from = pattern.text();
    const std::string to = part.at("content").text();
    if (from.empty()) {
      pattern.refuse("a text to replace", "an empty one");
    }
    steps_.push_back({[from, to](std::string_view text) { return replace_each(text, from, to); },
                      fmt::format("for {} of {} bytes {}", from, from.size(), to)});
  } else if (type == "Sequence") {
    for (const JsonPart& element : part.at("normalizers").elements()) {
      add(element);
    }
  } else {
    part.refuse("null, NFC, Prepend, Replace or a Sequence of these", "type " + type);
  }
}

// A file with NFC alone keeps the digest that it had when NFC was all there was.
void Normalizer::add_meaning(base::Sha256& digest) const {
  if (steps_.empty()) {
    digest.add_field("none");
  }
  for (const Step& step : steps_) {
    digest.add_field(step.meaning);
  }
}

std::string Normalizer::apply(std::string_view text, bool continues) const {
  std::string result(text);
  for (const Step& step : steps_) {
    if (!(continues && step.is_prefix)) {
      result = step.apply(result);
    }
  }
  return result;
}

}  // namespace baton::tokenizer
