#include "baton/data/position_limit.hpp"

#include <fmt/format.h>

#include "baton/base/error.hpp"

namespace baton::data {

void check_positions(std::int64_t num_prompt_tokens,
                     std::int64_t num_target_tokens,
                     std::int64_t max_positions,
                     const std::string& where) {
  if (num_prompt_tokens + num_target_tokens <= max_positions) {
    return;
  }
  throw base::Error(
      base::ErrorKind::kData, "a row is longer than the model can take",
      {.where = where,
       .expected = fmt::format("at most {} tokens, prompt and answer together "
                               "(max_position_embeddings in config.json)",
                               max_positions),
       .found = fmt::format("{} tokens of prompt and room for {} of answer", num_prompt_tokens,
                            num_target_tokens),
       .fix =
           "shorten the text, lower data.cutoff_len, or lower data.max_new_tokens where it is an "
           "answer to come"});
}

}  // namespace baton::data
