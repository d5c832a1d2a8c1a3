#include "decoder.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "baton/base/utf8.hpp"
#include "byte_alphabet.hpp"

namespace baton::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

// The token's bytes, or its own text as it stands when a character is none of the alphabet's.
std::string token_bytes(const std::string& token) {
  std::string bytes;
  for (std::size_t position = 0; position < token.size();) {
    const auto byte = symbol_byte(base::next_code_point(token, position));
    if (!byte) {
      return token;
    }
    bytes.push_back(static_cast<char>(*byte));
  }
  return bytes;
}

Tokens decode_byte_level(const Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    bytes += token_bytes(token);
  }
  return {base::to_valid_utf8(bytes)};
}

Tokens fuse(const Tokens& tokens) {
  std::string all;
  for (const std::string& token : tokens) {
    all += token;
  }
  return {std::move(all)};
}

std::optional<int> hex_digit(char c) {
  constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  const auto index = kDigits.find(c);
  if (index == std::string_view::npos) {
    return std::nullopt;
  }
  return static_cast<int>(index < 16 ? index : index - 6);
}

// The byte of a token "<0x0A>".
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) {
    return std::nullopt;
  }
  const auto high =
      token[3] == '+' ? std::optional(0) : hex_digit(token[3]);  // a sign counts as none
  const auto low = hex_digit(token[4]);
  return high && low ? std::optional(static_cast<char>(*high * 16 + *low)) : std::nullopt;
}

Tokens decode_fallback(const Tokens& tokens) {
  Tokens result;
  std::string run;
  const auto flush = [&] {
    if (base::to_valid_utf8(run) == run) {
      if (!run.empty()) {
        result.push_back(run);
      }
    } else {
      result.insert(result.end(), run.size(), "\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      run.push_back(*byte);
      continue;
    }
    flush();
    result.push_back(token);
  }
  flush();
  return result;
}

Tokens replace_all(Tokens tokens, const std::string& from, const std::string& to) {
  for (std::string& token : tokens) {
    for (auto found = token.find(from); found != std::string::npos;
         found = token.find(from, found + to.size())) {
      token.replace(found, from.size(), to);
    }
  }
  return tokens;
}

}  // namespace

Decoder Decoder::from_json(const JsonPart& part) {
  Decoder decoder;
  if (part.is_null()) {
    part.refuse("how tokens become text", "nothing");
  }
  if (part.type() != "Sequence") {
    decoder.add(part);
    return decoder;
  }
  for (const JsonPart& element : part.at("decoders").elements()) {
    decoder.add(element);
  }
  return decoder;
}

void Decoder::add(const JsonPart& part) {
  const std::string type = part.type();
  names_.push_back(type);
  if (type == "ByteLevel") {
    steps_.emplace_back(decode_byte_level);
    works_on_bytes_ = true;
  } else if (type == "ByteFallback") {
    steps_.emplace_back(decode_fallback);
  } else if (type == "Fuse") {
    steps_.emplace_back(fuse);
  } else if (type == "Replace") {
    const JsonPart pattern = part.at("pattern").at("String");
    const std::string from = pattern.text();
    if (from.empty()) {
      pattern.refuse("a text to replace", "an empty one");
    }
    const std::string to = part.at("content").text();
    names_.insert(names_.end(), {from, to});
    steps_.emplace_back(
        [from, to](Tokens tokens) { return replace_all(std::move(tokens), from, to); });
  } else if (type == "Strip") {
    add_strip(part);
  } else if (type == "Metaspace") {
    add_metaspace(part);
  } else {
    part.refuse("ByteLevel, ByteFallback, Fuse, Strip, Metaspace, Replace or a Sequence of these",
                "type " + type);
  }
}

// A character is taken from the beginning and the end of every token, up to a number of times.
void Decoder::add_strip(const JsonPart& part) {
  const std::string content = part.at("content").text();
  if (content.empty()) {
    part.at("content").refuse("a character to strip", "an empty text");
  }
  const std::int64_t start = part.at("start").integer();
  const std::int64_t stop = part.at("stop").integer();
  names_.insert(names_.end(), {content, std::to_string(start), std::to_string(stop)});
  steps_.emplace_back([content, start, stop](Tokens tokens) {
    for (std::string& token : tokens) {
      for (std::int64_t i = 0; i < start && token.starts_with(content); ++i) {
        token.erase(0, content.size());
      }
      for (std::int64_t i = 0; i < stop && token.ends_with(content); ++i) {
        token.erase(token.size() - content.size());
      }
    }
    return tokens;
  });
}

// Marks become spaces; those of the first token go where a text gets one before it.
void Decoder::add_metaspace(const JsonPart& part) {
  const std::string mark = part.at("replacement").text();
  if (mark.empty()) {
    part.at("replacement").refuse("one character", "an empty text");
  }
  const JsonPart scheme = part.at("prepend_scheme");
  const bool prepends =
      scheme.is_null() ? part.at("add_prefix_space").flag_or(true) : scheme.text() != "never";
  names_.insert(names_.end(), {mark, prepends ? "first" : "never"});
  steps_.emplace_back([mark, prepends](Tokens tokens) {
    if (prepends && !tokens.empty()) {
      tokens.front() = replace_all({tokens.front()}, mark, "").front();
    }
    return replace_all(std::move(tokens), mark, " ");
  });
}

void Decoder::add_meaning(base::Sha256& digest) const {
  digest.add_field(std::to_string(names_.size()));
  for (const std::string& name : names_) {
    digest.add_field(name);
  }
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) {
    tokens = step(std::move(tokens));
  }
  return fuse(tokens).front();
}

}  // namespace baton::tokenizer
