#pragma once
// The "pre_tokenizer" part of tokenizer.json: cuts a text into the pieces that are merged on their
// own. Digits and Split may come first; the last step is always ByteLevel (its mapping of bytes is
// done by the BPE model, which works on bytes).

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "baton/base/sha256.hpp"
#include "json_part.hpp"

namespace baton::tokenizer {

/// Pieces of a text; they point into it or into `owned`.
struct Pieces {
  std::vector<std::string_view> views;
  std::deque<std::string> owned;
};

class PreTokenizer {
 public:
  class Step {
   public:
    virtual ~Step() = default;
    virtual void apply(std::string_view piece, Pieces& result) const = 0;
    /// What the step does, with every setting resolved: equal texts, equal pieces.
    virtual std::string meaning() const = 0;
  };

  /// Other kinds are a kModel error.
  static PreTokenizer from_json(const JsonPart& part);

  /// `text` is valid UTF-8 and outlives the result. Thread-safe.
  Pieces split(std::string_view text) const;
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

 private:
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace baton::tokenizer
