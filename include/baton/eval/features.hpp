#pragma once
// What the frozen base makes of a prompt on the way: for routers that look at nothing else.

#include <cstdint>
#include <span>
#include <vector>

#include "baton/eval/generate.hpp"

namespace baton::eval {

/// The layers after which tasks are looked at, unless somebody asks for others: half of them.
std::int64_t feature_layers(const model::Decoder& model);

/// Of each prompt (none empty) the mean over its tokens of the hidden state after the first
/// `num_layers` layers, each state scaled to a root mean square of 1, in fp32: [D].
std::vector<std::vector<float>> prompt_features(const model::Decoder& model,
                                                std::span<const Prompt> prompts,
                                                std::int64_t num_layers);

}  // namespace baton::eval
