#pragma once
// How an expert's training goes on from the state that an earlier attempt saved.

#include <filesystem>

#include "baton/comm/communicator.hpp"
#include "baton/expert/training_state.hpp"
#include "baton/train/expert_learner.hpp"

namespace baton::experiment {

/// Collective: the leader reads the newest valid state below `folder`, the others get it from the
/// leader, and every rank's learner goes on from it. `facts` has the task and the threads of this
/// attempt. Gives the seconds of the earlier attempts; 0, and nothing is changed, where no state is
/// there. A state of another training: kModel, a comm::GroupError on every rank.
double go_on_from_saved_state(const std::filesystem::path& folder,
                              const expert::TrainingState& facts,
                              comm::Communicator& group,
                              train::ExpertLearner& learner);

}  // namespace baton::experiment
