#pragma once
// The factors of experts that were finished before, for a learner that goes on from one or learns
// beside them. The group's leader reads the files, the others get the numbers from it.

#include <cstddef>
#include <vector>

#include "baton/comm/communicator.hpp"
#include "baton/expert/expert_state.hpp"
#include "baton/run/run_paths.hpp"

namespace baton::experiment {

/// Collective: `arrays`, of an adapter of the same settings, get the numbers of the expert at
/// `position`. kModel when its file is damaged or of other shapes.
void read_factors(const run::RunPaths& paths,
                  std::size_t position,
                  comm::Communicator& group,
                  std::vector<expert::NamedArray>& arrays);

}  // namespace baton::experiment
