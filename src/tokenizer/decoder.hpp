#pragma once
// The "decoder" part of tokenizer.json: token spellings back to text. ByteLevel,
// ByteFallback, Fuse, Strip, Metaspace, Replace (of a literal text), alone or in a Sequence.

#include <functional>
#include <string>
#include <vector>

#include "baton/base/sha256.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {

class Decoder {
 public:
  /// Other kinds are a kModel error.
  static Decoder from_json(const JsonPart& part);

  /// ByteLevel is among the steps.
  bool works_on_bytes() const { return works_on_bytes_; }
  /// Always valid UTF-8.
  std::string decode(std::vector<std::string> tokens) const;
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

 private:
  using Step = std::function<std::vector<std::string>(std::vector<std::string>)>;

  void add(const JsonPart& part);
  void add_metaspace(const JsonPart& part);
  void add_strip(const JsonPart& part);

  std::vector<Step> steps_;
  std::vector<std::string> names_;  // of the steps, with what they replace
  bool works_on_bytes_ = false;
};

}  // namespace baton::tokenizer
