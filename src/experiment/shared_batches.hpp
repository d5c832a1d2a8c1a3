#pragma once
// Work on many prompts that gives one value a prompt, its batches dealt to the ranks of a group.
// Batches are formed over all prompts, so their content, and with it every bit of the values, does
// not depend on the number of ranks.

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "baton/comm/share.hpp"
#include "baton/eval/margins.hpp"

namespace baton::experiment {

/// Collective: `make` turns the prompts of one batch into a list of values, in their order; every
/// rank gets all of them, in the order of `prompts`.
template <typename Value, typename Make>
std::vector<Value> share_by_batch(std::span<const eval::Prompt> prompts,
                                  std::int64_t batch_size,
                                  comm::Communicator& group,
                                  const Make& make) {
  const auto batches = eval::margin_batches(prompts, batch_size);
  const auto num_ranks = static_cast<std::size_t>(group.size());
  std::vector<Value> all(prompts.size());
  for (std::size_t first = 0; first < batches.size(); first += num_ranks) {
    const std::size_t mine = first + static_cast<std::size_t>(group.rank());
    std::vector<Value> made;
    comm::together(group, [&] {
      if (mine < batches.size()) {
        std::vector<eval::Prompt> batch;
        for (const std::size_t prompt : batches[mine]) {
          batch.push_back(prompts[prompt]);
        }
        made = make(batch);
      }
    });
    std::vector<std::vector<Value>> gathered = comm::from_all(group, made);
    for (std::size_t rank = 0; rank < gathered.size() && first + rank < batches.size(); ++rank) {
      const std::vector<std::size_t>& batch = batches[first + rank];
      for (std::size_t i = 0; i < batch.size(); ++i) {
        all[batch[i]] = std::move(gathered[rank][i]);
      }
    }
  }
  return all;
}

}  // namespace baton::experiment
