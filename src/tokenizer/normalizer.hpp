#pragma once
// The "normalizer" part of tokenizer.json: none, Unicode's NFC, a text put before (Prepend), one text
// for another (Replace), or a Sequence of these.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "baton/base/sha256.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {

class Normalizer {
 public:
  /// Other kinds are a kModel error.
  static Normalizer from_json(const JsonPart& part);

  bool is_identity() const { return steps_.empty(); }
  /// `continues`: the text goes on where another one ended, so that nothing is put before it.
  std::string apply(std::string_view text, bool continues = false) const;
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

 private:
  struct Step {
    std::function<std::string(std::string_view)> apply;
    std::string meaning;
    bool is_prefix = false;  // puts something before a text
  };

  void add(const JsonPart& part);

  std::vector<Step> steps_;
};

}  // namespace baton::tokenizer
