#pragma once
// Who reads a run's rows. World rank 0 reads every task once and tells all what they need to know of
// it (RunFacts); the leader of a group reads the rows of the expert in hand and gives them to its
// group. Nobody else touches the task files.

#include <string>

#include "baton/comm/communicator.hpp"
#include "baton/experiment/expert_rows.hpp"

namespace baton::experiment {

/// The text rows of a learner from the tasks' files and the run's buffers. kData when a file no
/// longer holds the rows that the run began with; kModel when a buffer is damaged.
ExpertRows read_expert_rows(const config::Config& config,
                            const RunFacts& facts,
                            const method::LearnerPlan& learner);

/// Collective over `group`: the rows as its leader read them. An error is a comm::GroupError on
/// every rank.
ExpertRows share_expert_rows(const config::Config& config,
                             const RunFacts& facts,
                             const method::LearnerPlan& learner,
                             comm::Communicator& group);

}  // namespace baton::experiment
