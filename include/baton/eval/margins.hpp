#pragma once
// The margins of one expert for many prompts: what a threshold is calibrated on.

#include <cstdint>
#include <span>
#include <vector>

#include "baton/eval/generate.hpp"
#include "baton/expert/indicators.hpp"

namespace baton::eval {

/// Which prompts are read together: indices of at most `batch_size` prompts (none empty) of similar
/// length. They depend on nothing but the prompts, so neither do the bits of the margins.
std::vector<std::vector<std::size_t>> margin_batches(std::span<const Prompt> prompts,
                                                     std::int64_t batch_size);

/// logit(accept) - logit(pass) in fp32 for each prompt of `batch`, in its order. A margin that is
/// not a finite number: kNonFinite.
std::vector<double> margins(const model::Decoder& model,
                            const model::Adapter& adapter,
                            std::span<const Prompt> prompts,
                            std::span<const std::size_t> batch,
                            const expert::Indicators& indicators);

}  // namespace baton::eval
