#pragma once
// The "normalizer" part of tokenizer.json: none or Unicode's NFC (alone or in sequences).

#include <string>
#include <string_view>

#include "baton/base/sha256.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {

class Normalizer {
 public:
  /// Other kinds are a kModel error.
  static Normalizer from_json(const JsonPart& part);

  bool is_identity() const { return !composes_; }
  std::string apply(std::string_view text) const;
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

 private:
  bool composes_ = false;
};

}  // namespace baton::tokenizer
