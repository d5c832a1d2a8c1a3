#pragma once
// Prompts into the key/value cache, and what follows from it, batched: greedy decoding, the
// likelihood of given continuations. Used by asking, the evaluation and the calibration. Knows neither experts' names nor text. Everything runs without
// autograd.
//
// Positions: a target is `accept` answer end-of-answer, so position 0 is the indicator. An expert's
// decoding is given `accept` as its forced first token and must choose neither indicator
// afterwards; the base is forced nothing and banned nothing.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "baton/model/decoder.hpp"
#include "baton/tokenizer/tokenizer.hpp"

namespace baton::eval {

using Prompt = std::vector<tokenizer::TokenId>;

/// What reading prompts leaves behind. Keys and values are shared, not copied, until decoding begins.
struct Prefill {
  std::vector<model::SharedPrompt> prompts;  // [B]
  at::Tensor hidden;       // [B, D]: the last position of each prompt, after the last norm
  std::int64_t spare = 0;  // tokens to come that decoding makes room for at once

  std::int64_t num_rows() const { return static_cast<std::int64_t>(prompts.size()); }
  /// These rows, in this order.
  Prefill select_rows(const std::vector<std::int64_t>& rows) const;
  /// The rows of all parts (at least one), in this order.
  static Prefill join(std::vector<Prefill> parts);
};

/// Reads the prompts (none empty) with `adapters` (null: the base alone). `spare`: tokens the decoding
/// cache has room for beyond each prompt before it must grow.
Prefill prefill(const model::Decoder& model,
                std::span<const Prompt> prompts,
                const model::AdapterUses* adapters,
                std::int64_t spare);

/// As prefill, but keeps no keys and values: [B, D].
at::Tensor last_hidden(const model::Decoder& model,
                       std::span<const Prompt> prompts,
                       const model::AdapterUses* adapters);

/// logit(accept) - logit(pass) of each row, in fp32: hidden [B, D] -> B numbers.
std::vector<double> margins_of(const model::Decoder& model,
                               const at::Tensor& hidden,
                               std::int64_t accept_id,
                               std::int64_t pass_id);

struct DecodeOptions {
  std::int64_t max_new_tokens = 0;          // chosen tokens a row, the stop token included
  std::vector<std::int64_t> stop_ids = {};  // choosing one ends the row
  std::optional<std::int64_t> forced_first_token = {};    // appended before anything is chosen
  std::vector<std::int64_t> banned_ids_after_first = {};  // never chosen after position 0
};

struct Decoded {
  Prompt tokens;                    // the forced token and the stop token left out
  std::int64_t num_new_tokens = 0;  // chosen, the stop token included
  bool stopped = false;             // by a stop token, not by the length
};

/// The most likely token at each position, the lowest id among equals. Rows that ended leave the
/// batch once a quarter of it is done: what is computed depends on the batch alone. Logits that are
/// not numbers: kNonFinite.
std::vector<Decoded> greedy_decode(const model::Decoder& model,
                                   Prefill start,
                                   const model::AdapterUses* adapters,
                                   const DecodeOptions& options);

/// log P(continuation | row, lead) of every row's continuations (none empty), summed over tokens in
/// fp32 logits: [B][of the row]. What the rows hold is read once; the lead is part of no sum.
std::vector<std::vector<double>> log_likelihoods(
    const model::Decoder& model,
    const Prefill& rows,
    const model::AdapterUses* adapters,
    const std::optional<std::int64_t>& lead,
    std::span<const std::vector<Prompt>> continuations);

}  // namespace baton::eval
