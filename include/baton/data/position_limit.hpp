#pragma once
// The longest row a model can take. Used for the rows it is trained on, the queries it is evaluated
// on and the prompts it is asked, so that all are refused alike.

#include <cstdint>
#include <string>

namespace baton::data {

/// Prompt and target (what is learnt, or at most decoded; all of it included) beyond
/// `max_positions`, config.json's max_position_embeddings: a kData error that begins at `where`. The
/// model never saw such positions, and its answers there are noise.
void check_positions(std::int64_t num_prompt_tokens,
                     std::int64_t num_target_tokens,
                     std::int64_t max_positions,
                     const std::string& where);

}  // namespace baton::data
