#pragma once
// The margins of one expert for many prompts: what a threshold is calibrated on.

#include <cstdint>
#include <span>
#include <vector>

#include "baton/data/row_encoder.hpp"
#include "baton/eval/generate.hpp"

namespace baton::eval {

/// logit(accept) - logit(pass) in fp32 for each prompt, in the order given. Prompts (none empty)
/// are read in batches of at most `batch_size` rows of similar length, which depend on nothing but
/// the prompts. A margin that is not a finite number: kNonFinite.
std::vector<double> margins(const model::Decoder& model,
                            const model::Adapter& adapter,
                            std::span<const Prompt> prompts,
                            const data::Indicators& indicators,
                            std::int64_t batch_size);

}  // namespace baton::eval
