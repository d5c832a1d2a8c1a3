#pragma once
// The "pre_tokenizer" part of tokenizer.json: cuts a text into the pieces that are merged on their
// own. Digits and Split may come first; a last step ByteLevel says that the BPE model works on bytes
// (which does the mapping). Without it the model works on characters, and Metaspace may mark spaces.

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

/// Where a piece stands.
enum class Place {
  kBeginning,  // of the whole text
  kInside,
  kContinued,  // at the beginning of a text that goes on where another one ended
};

class PreTokenizer {
 public:
  class Step {
   public:
    virtual ~Step() = default;
    virtual void apply(std::string_view piece, Place place, Pieces& result) const = 0;
    /// What the step does, with every setting resolved: equal texts, equal pieces.
    virtual std::string meaning() const = 0;
  };

  /// Other kinds are a kModel error.
  static PreTokenizer from_json(const JsonPart& part);

  /// The last step is ByteLevel.
  bool works_on_bytes() const { return works_on_bytes_; }
  /// `text` is valid UTF-8 and outlives the result. Thread-safe.
  Pieces split(std::string_view text, Place place) const;
  /// For the tokenizer's fingerprint.
  void add_meaning(base::Sha256& digest) const;

 private:
  std::vector<std::unique_ptr<Step>> steps_;
  bool works_on_bytes_ = false;
};

}  // namespace baton::tokenizer
