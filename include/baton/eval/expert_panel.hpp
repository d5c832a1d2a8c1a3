#pragma once
// The experts of a chain as a router's panel, for one prompt. An expert is read only when the
// router asks it, and its key/value cache is kept, so that the one that answers decodes without
// reading the prompt again.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "baton/eval/generate.hpp"
#include "baton/method/router.hpp"

namespace baton::eval {

/// One expert of a chain, ready to be asked. The adapter must outlive it.
struct ChainExpert {
  std::string name;
  const model::Adapter* adapter = nullptr;
  std::int64_t accept_id = -1;
  std::int64_t pass_id = -1;
  double threshold = 0;
};

class ModelPanel final : public method::ExpertPanel {
 public:
  /// `experts` oldest first; model, experts and prompt must outlive the panel. `spare` as in
  /// prefill().
  ModelPanel(const model::Decoder& model,
             std::span<const ChainExpert> experts,
             const Prompt& prompt,
             std::int64_t spare);

  int size() const override { return static_cast<int>(experts_.size()); }
  const std::string& name(int expert) const override { return at(expert).name; }
  double threshold(int expert) const override { return at(expert).threshold; }
  double margin(int expert) override;

  /// The prompt as this expert read it (route::kBase: the base); read now if the router did not ask
  /// it. Once only.
  Prefill take(int expert);
  /// How often the prompt was read so far.
  std::int64_t num_prefills() const { return num_prefills_; }

 private:
  const ChainExpert& at(int expert) const { return experts_[static_cast<std::size_t>(expert)]; }
  Prefill read(int expert);

  const model::Decoder& model_;
  std::span<const ChainExpert> experts_;
  const Prompt& prompt_;
  std::int64_t spare_;
  std::int64_t num_prefills_ = 0;
  std::map<int, Prefill> prefills_;
  std::map<int, double> margins_;
};

/// The decoding of an expert's answer: `accept` forced first, both indicators banned afterwards.
DecodeOptions expert_decoding(const ChainExpert& expert, const DecodeOptions& base_decoding);

/// The answer as it is shown and scored everywhere: special tokens left out, white space around it
/// stripped.
std::string answer_text(const tokenizer::Tokenizer& tokenizer, const Prompt& tokens);

}  // namespace baton::eval
